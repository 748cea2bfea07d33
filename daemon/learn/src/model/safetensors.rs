use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use perennial_kernels::{Precision, Weight, WeightBytes};
use rayon::prelude::*;
use safetensors::{Dtype, tensor::TensorInfo};

use super::{
    ModelError,
    loaded::{Loaded, Tensors},
    names,
};

/// A header longer than this is no header: safetensors' own limit.
const HEADER_BYTES_MAX: u64 = 100_000_000;
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// The weight files of a Hugging Face folder, sorted: those of the index where there is one, else `model.safetensors`.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = folder.join(INDEX);
    if !index.is_file() {
        let single = folder.join(SINGLE);
        if single.is_file() {
            return Ok(vec![single]);
        }
        let problem = format!("no weights: neither `{SINGLE}` nor `{INDEX}` is there");
        return Err(ModelError::NotAModel { path: folder.to_owned(), problem });
    }
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bytes = std::fs::read(&index).map_err(ModelError::io(&index))?;
    let Index { weight_map } = serde_json::from_slice(&bytes)
        .map_err(|error| ModelError::NotAModel { path: index, problem: format!("not an index of weights: {error}") })?;
    let files: BTreeSet<String> = weight_map.into_values().collect();
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

/// All tensors of these files. Where all matrices are stored in the wanted precision, they are read as they lie.
pub(super) fn read(files: &[PathBuf], precision: Precision) -> Result<Tensors, ModelError> {
    let mut shards = open(files)?;
    if are_in(&shards, precision) {
        for shard in &mut shards {
            shard.whole = Some(WeightBytes::read(&shard.file).map_err(ModelError::io(&shard.path))?);
        }
    }
    let all: Vec<_> = shards.iter().flat_map(|shard| shard.infos.iter().map(move |entry| (shard, entry))).collect();
    all.into_par_iter()
        .filter(|(_, (name, _))| !names::is_ignored(name))
        .map(|(shard, (name, info))| Ok((name.clone(), shard.tensor(name, info, precision)?)))
        .collect()
}

/// Whether all matrices of these files are stored in this precision, so that none has to be converted.
pub(super) fn are_stored_in(files: &[PathBuf], precision: Precision) -> Result<bool, ModelError> {
    Ok(are_in(&open(files)?, precision))
}

fn open(files: &[PathBuf]) -> Result<Vec<Shard>, ModelError> {
    files.iter().map(|file| Shard::open(file)).collect()
}

fn are_in(shards: &[Shard], precision: Precision) -> bool {
    let mut infos = shards.iter().flat_map(|shard| &shard.infos).filter(|(name, _)| !names::is_ignored(name));
    infos.all(|(_, info)| info.shape.len() != 2 || precision_of(info.dtype) == Some(precision))
}

fn precision_of(dtype: Dtype) -> Option<Precision> {
    match dtype {
        Dtype::F32 => Some(Precision::F32),
        Dtype::BF16 => Some(Precision::Bf16),
        _ => None,
    }
}

struct Shard {
    path: PathBuf,
    file: File,
    infos: BTreeMap<String, TensorInfo>,
    data_start: u64,
    data_bytes: u64,
    /// All of it, where matrices are used as they lie.
    whole: Option<WeightBytes>,
}

impl Shard {
    fn open(path: &Path) -> Result<Self, ModelError> {
        let damaged = |problem: String| ModelError::NotAModel { path: path.to_owned(), problem };
        let mut file = File::open(path).map_err(ModelError::io(path))?;
        let file_bytes = file.metadata().map_err(ModelError::io(path))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(ModelError::io(path))?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > HEADER_BYTES_MAX || header_bytes + 8 > file_bytes {
            return Err(damaged("not a safetensors file, or cut short: its header does not fit in it".to_owned()));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(ModelError::io(path))?;
        let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
            .map_err(|error| damaged(format!("not a safetensors file: its header is no JSON object: {error}")))?;
        entries.remove("__metadata__");
        let infos = entries.into_iter().map(|(name, info)| {
            let info = serde_json::from_value(info);
            let info = info.map_err(|error| damaged(format!("the header's entry `{name}` is malformed: {error}")))?;
            Ok((name, info))
        });
        let infos = infos.collect::<Result<_, ModelError>>()?;
        let data_start = header_bytes + 8;
        Ok(Self { path: path.to_owned(), file, infos, data_start, data_bytes: file_bytes - data_start, whole: None })
    }

    fn tensor(&self, name: &str, info: &TensorInfo, precision: Precision) -> Result<Loaded, ModelError> {
        let problem =
            |problem: String| ModelError::Tensor { path: self.path.clone(), tensor: name.to_owned(), problem };
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(problem(format!("is stored as {other:?}; f32, f16 and bf16 can be read"))),
        };
        let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let elements = info.shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
        let expected = elements.and_then(|elements| elements.checked_mul(dtype.size_in_bytes()));
        if end > self.data_bytes || start > end || expected != Some((end - start) as usize) {
            return Err(problem("does not lie within the file as its shape says: the file is damaged".to_owned()));
        }
        if let Some(weight) = self.in_place(info, precision) {
            return Ok(Loaded::Matrix(weight));
        }
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, self.data_start + start).map_err(ModelError::io(&self.path))?;
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .and_then(|tensor| Loaded::new(&tensor.to_dtype(DType::F32)?, precision))
            .map_err(|error| problem(format!("cannot be read: {error}")))
    }

    /// A matrix of a file that is in memory.
    fn in_place(&self, info: &TensorInfo, precision: Precision) -> Option<Weight> {
        let [rows, cols] = info.shape[..] else { return None };
        let start = self.data_start as usize;
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        self.whole.as_ref()?.weight(bytes, precision, rows, cols)
    }
}

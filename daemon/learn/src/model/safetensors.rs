use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Component, Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use perennial_kernels::{Precision, Weight, WeightBytes};
use rayon::prelude::*;
use safetensors::{
    Dtype, SafeTensorError,
    tensor::{Metadata, TensorInfo},
};

use super::{
    ModelError,
    json_file::{self, INDEX_BYTES_MAX},
    layout::Shapes,
    loaded::{Loaded, Tensors},
    names,
    source::Source,
};

/// A header longer than this is no header: safetensors' own limit.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// What a file begins with: the length of its header.
const LENGTH_BYTES: u64 = 8;
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// The weight files of a Hugging Face folder, sorted: `model.safetensors` where it is there, as transformers takes it before an index,
/// else those of the index.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join(INDEX);
    let wrong = |path: &Path, problem: String| ModelError::NotAModel { path: path.to_owned(), problem };
    if !index.is_file() {
        return Err(wrong(folder, format!("no weights: neither `{SINGLE}` nor `{INDEX}` is there")));
    }
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bytes = json_file::read(&index, INDEX_BYTES_MAX)?;
    let Index { weight_map } =
        serde_json::from_slice(&bytes).map_err(|error| wrong(&index, format!("not an index of weights: {error}")))?;
    let files: BTreeSet<String> = weight_map.into_values().collect();
    let outside = |file: &&String| !Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if let Some(file) = files.iter().find(outside) {
        return Err(wrong(&index, format!("names {file:?}, which is no file of this folder")));
    }
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

pub(super) fn read(files: &[PathBuf], precision: Precision) -> Result<Tensors, ModelError> {
    Shards::open(files)?.read(precision)
}

/// Reads a safetensors file that lies in memory, every tensor of it, as the weights of a model are read.
///
/// # Errors
/// Where it is damaged, or holds a type of values that cannot be read.
pub fn check_safetensors(bytes: &[u8]) -> Result<(), ModelError> {
    let shard = Shard::new(Path::new("memory"), Source::Memory(bytes))?;
    Shards(vec![shard]).read(Precision::F32).map(drop)
}

/// Open weight files.
pub(super) struct Shards<'a>(Vec<Shard<'a>>);

impl Shards<'_> {
    /// Opens the files and reads their headers.
    pub(super) fn open(files: &[PathBuf]) -> Result<Self, ModelError> {
        let open = |path: &PathBuf| {
            let file = File::open(path).map_err(ModelError::io(path))?;
            Shard::new(path, Source::File(file))
        };
        files.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    fn infos(&self) -> impl Iterator<Item = (&Shard<'_>, &String, &TensorInfo)> {
        let infos = self.0.iter().flat_map(|shard| shard.infos.iter().map(move |(name, info)| (shard, name, info)));
        infos.filter(|(_, name, _)| !names::is_ignored(name))
    }

    /// The shape of each tensor.
    ///
    /// # Errors
    /// Where two files have the same tensor.
    pub(super) fn shapes(&self) -> Result<Shapes, ModelError> {
        let mut shapes = Shapes::new();
        for (shard, name, info) in self.infos() {
            if shapes.insert(name.clone(), info.shape.clone()).is_some() {
                return Err(shard.problem(name, "is in another file of the index too".to_owned()));
            }
        }
        Ok(shapes)
    }

    /// The name, shape and type of each tensor.
    pub(super) fn stored(&self) -> impl Iterator<Item = (String, Vec<usize>, Dtype)> {
        self.infos().map(|(_, name, info)| (name.clone(), info.shape.clone(), info.dtype))
    }

    /// Whether all matrices are stored in this precision, so that none has to be converted.
    pub(super) fn are_in(&self, precision: Precision) -> bool {
        self.infos().all(|(_, _, info)| info.shape.len() != 2 || precision_of(info.dtype) == Some(precision))
    }

    /// The values of one tensor in f32, whatever its shape.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub(super) fn read_f32(&self, name: &str) -> Result<Tensor, ModelError> {
        match self.infos().find(|(_, found, _)| *found == name) {
            Some((shard, name, info)) => shard.values(name, info),
            None => Err(ModelError::Tensor {
                path: self.0.first().map(|shard| shard.path.clone()).unwrap_or_default(),
                tensor: name.to_owned(),
                problem: "is missing".to_owned(),
            }),
        }
    }

    /// All tensors. Where all matrices are stored in the wanted precision, they are read as they lie.
    pub(super) fn read(mut self, precision: Precision) -> Result<Tensors, ModelError> {
        if self.are_in(precision) {
            for shard in &mut self.0 {
                if let Source::File(file) = &shard.source {
                    shard.whole = Some(WeightBytes::read(file).map_err(ModelError::io(&shard.path))?);
                }
            }
        }
        let all: Vec<_> = self.infos().collect();
        all.into_par_iter()
            .map(|(shard, name, info)| Ok((name.clone(), shard.tensor(name, info, precision)?)))
            .collect()
    }
}

fn precision_of(dtype: Dtype) -> Option<Precision> {
    match dtype {
        Dtype::F32 => Some(Precision::F32),
        Dtype::BF16 => Some(Precision::Bf16),
        _ => None,
    }
}

struct Shard<'a> {
    path: PathBuf,
    source: Source<'a>,
    infos: BTreeMap<String, TensorInfo>,
    data_start: u64,
    /// All of it, where matrices are used as they lie.
    whole: Option<WeightBytes>,
}

impl<'a> Shard<'a> {
    fn new(path: &Path, source: Source<'a>) -> Result<Self, ModelError> {
        let damaged = |problem: String| ModelError::NotAModel { path: path.to_owned(), problem };
        let cut_short = || damaged("not a safetensors file, or cut short: its header does not fit in it".to_owned());
        let file_bytes = source.len().map_err(ModelError::io(path))?;
        let mut length = [0; LENGTH_BYTES as usize];
        if file_bytes < LENGTH_BYTES {
            return Err(cut_short());
        }
        source.read_exact_at(&mut length, 0).map_err(ModelError::io(path))?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > HEADER_BYTES_MAX || header_bytes > file_bytes - LENGTH_BYTES {
            return Err(cut_short());
        }
        let mut header = vec![0; header_bytes as usize];
        source.read_exact_at(&mut header, LENGTH_BYTES).map_err(ModelError::io(path))?;
        let metadata = metadata(&header)
            .map_err(|error| damaged(format!("not a safetensors file: its header makes no sense: {error}")))?;
        let data_start = header_bytes + LENGTH_BYTES;
        // Tensors lie one behind the other without a gap, so the last one's end is the end of all.
        if metadata.data_len() as u64 != file_bytes - data_start {
            return Err(damaged(format!(
                "cut short, or damaged: its tensors take {} bytes, but {} are there",
                metadata.data_len(),
                file_bytes - data_start
            )));
        }
        let infos = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Ok(Self { path: path.to_owned(), source, infos, data_start, whole: None })
    }

    fn problem(&self, name: &str, problem: String) -> ModelError {
        ModelError::Tensor { path: self.path.clone(), tensor: name.to_owned(), problem }
    }

    fn tensor(&self, name: &str, info: &TensorInfo, precision: Precision) -> Result<Loaded, ModelError> {
        if let Some(weight) = self.in_place(info, precision) {
            return Ok(Loaded::Matrix(weight));
        }
        let values = self.values(name, info)?;
        Loaded::new(&values, precision).map_err(|error| self.problem(name, format!("cannot be read: {error}")))
    }

    /// In f32.
    fn values(&self, name: &str, info: &TensorInfo) -> Result<Tensor, ModelError> {
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(self.problem(name, format!("is stored as {other:?}; f32, f16 and bf16 can be read"))),
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.source.read_exact_at(&mut bytes, self.data_start + start as u64).map_err(ModelError::io(&self.path))?;
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32))
            .map_err(|error| self.problem(name, format!("cannot be read: {error}")))
    }

    /// A matrix of a file that is in memory.
    fn in_place(&self, info: &TensorInfo, precision: Precision) -> Option<Weight> {
        let [rows, cols] = info.shape[..] else { return None };
        let start = self.data_start as usize;
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        self.whole.as_ref()?.weight(bytes, precision, rows, cols)
    }
}

/// The header's entries, which the library holds against each other: each tensor starts where the one before it ends, and has as many
/// bytes as its shape says.
fn metadata(header: &[u8]) -> Result<Metadata, SafeTensorError> {
    serde_json::from_slice(header).map_err(SafeTensorError::InvalidHeaderDeserialization)
}

use std::{collections::BTreeMap, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, gguf_file::Value},
};

use super::{
    Dtype, ExportError, FormatKind, Opened,
    dtype::{encoded, kept},
    gguf,
    merge::Merge,
};
use crate::{
    model::{
        BaseFiles, GgufTensor, ModelConfig, Rope, RopeScaling, StoredTensor, permute, permuted_heads, to_gguf,
        write_gguf,
    },
    tokenize,
};

/// A file of the base model with the adapter in its weights, as llama.cpp's `convert_hf_to_gguf.py` would write it of a merged model.
///
/// Of a base model that is a GGUF file itself everything but what the adapter changes stays as it lies there, unless another type is
/// asked for; what it changes is stored in 32 bits where it was quantised, which loses nothing.
pub(super) struct MergedGguf;

/// Llama 3's factors of the frequencies, which no Hugging Face file has.
const ROPE_FACTORS: &str = "rope_freqs.weight";
const HEAD: &str = "lm_head.weight";
const EMBEDDINGS: &str = "model.embed_tokens.weight";
/// The key that tells of the types of tensors.
const FILE_TYPE: &str = "general.file_type";

/// A tensor that is written.
enum Content<'a> {
    Merged(&'a StoredTensor),
    AsItLies(&'a StoredTensor),
    Values(Vec<f32>),
}

impl FormatKind for MergedGguf {
    fn name(&self) -> &'static str {
        "merged-gguf"
    }

    fn about(&self) -> &'static str {
        "A GGUF file of the base model with the adapter in its weights"
    }

    fn is_file(&self) -> bool {
        true
    }

    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::ALL
    }

    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError> {
        let (job, config, base) = (&opened.job, &opened.config, opened.base()?);
        let architecture = gguf::architecture(self.name(), config)?;
        let merge = Merge::new(&opened.adapter);
        let stored = base.tensors()?;
        let left_out = head_that_is_the_embeddings(&base, &stored)?;
        let has_embeddings = stored.iter().any(|tensor| tensor.name == EMBEDDINGS);
        let is_gguf = base.gguf_metadata().is_some();
        let (mut tensors, mut contents) = (Vec::new(), BTreeMap::new());
        for tensor in stored.iter().filter(|tensor| Some(tensor.name.as_str()) != left_out) {
            // A head that is alone stands for the embeddings too.
            let name =
                if config.tied_head && !has_embeddings && tensor.name == HEAD { EMBEDDINGS } else { &tensor.name };
            let Some(name) = to_gguf(name) else { continue };
            let stays = is_gguf && job.dtype.is_none() && !merge.changes(&tensor.name);
            let (dtype, content) = match stays {
                true => (tensor.dtype, Content::AsItLies(tensor)),
                false => (written_as(tensor, job.dtype), Content::Merged(tensor)),
            };
            tensors.push(GgufTensor { name: name.clone(), dims: tensor.dims.clone(), dtype });
            contents.insert(name, content);
        }
        if let Some(factors) = rope_factors(&base, config)? {
            tensors.push(GgufTensor {
                name: ROPE_FACTORS.to_owned(),
                dims: vec![factors.len()],
                dtype: GgmlDType::F32,
            });
            contents.insert(ROPE_FACTORS.to_owned(), Content::Values(factors));
        }
        let metadata = metadata(&base, architecture, job.name, job.dtype, &tensors)?;
        write_gguf(out, &metadata, &tensors, |tensor| {
            let (stored, values) = match contents.get(&tensor.name) {
                None => return Ok(Vec::new()),
                Some(Content::AsItLies(stored)) => return Ok(base.gguf_bytes(stored)?.unwrap_or_default()),
                Some(Content::Values(values)) => return encoded(values.clone(), &tensor.dims, tensor.dtype),
                Some(Content::Merged(stored)) => (stored, merge.values(&base, stored)?),
            };
            let values = match permuted_heads(&stored.name, config) {
                None => values,
                Some(heads) => {
                    let tensor = Tensor::from_vec(values, stored.dims.as_slice(), &Device::Cpu)?;
                    permute(&tensor, heads)?.flatten_all()?.to_vec1()?
                }
            };
            encoded(values, &tensor.dims, tensor.dtype)
        })
    }
}

/// What a tensor is stored as: vectors in 32 bits always, as llama.cpp wants them.
fn written_as(tensor: &StoredTensor, asked: Option<Dtype>) -> GgmlDType {
    let row = tensor.dims.last().copied().unwrap_or(1);
    match asked {
        _ if tensor.dims.len() < 2 => GgmlDType::F32,
        Some(dtype) => dtype.of_rows(row),
        None => kept(tensor.dtype),
    }
}

/// The head's table where it stands for nothing that the embeddings do not.
fn head_that_is_the_embeddings(base: &BaseFiles, stored: &[StoredTensor]) -> Result<Option<&'static str>, ExportError> {
    let named = |name: &str| stored.iter().find(|tensor| tensor.name == name);
    let (true, Some(head), Some(embeddings)) = (base.config.tied_head, named(HEAD), named(EMBEDDINGS)) else {
        return Ok(None);
    };
    let values =
        |tensor: &StoredTensor| -> Result<Vec<f32>, ExportError> { Ok(base.values(tensor)?.flatten_all()?.to_vec1()?) };
    Ok((values(head)? == values(embeddings)?).then_some(HEAD))
}

/// Llama 3's factors, by which frequencies are divided.
fn rope_factors(base: &BaseFiles, config: &ModelConfig) -> Result<Option<Vec<f32>>, ExportError> {
    if let Some(factors) = base.gguf_rope_factors()? {
        return Ok(Some(factors));
    }
    if !matches!(config.rope.scaling, RopeScaling::Llama3 { .. }) {
        return Ok(None);
    }
    let plain = Rope { theta: config.rope.theta, scaling: RopeScaling::None }.inverse_frequencies(config.head_dim);
    let scaled = config.rope.inverse_frequencies(config.head_dim);
    Ok(Some(plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled).collect()))
}

/// What the file says besides its tensors.
fn metadata(
    base: &BaseFiles,
    architecture: &'static str,
    name: &str,
    asked: Option<Dtype>,
    tensors: &[GgufTensor],
) -> Result<Vec<(String, Value)>, ExportError> {
    if let Some(found) = base.gguf_metadata() {
        let mut found = found.clone();
        found.insert("general.name".to_owned(), Value::String(name.to_owned()));
        if let Some(dtype) = asked {
            found.insert(FILE_TYPE.to_owned(), Value::U32(dtype.file_type()));
        }
        return Ok(found.into_iter().collect());
    }
    let (tokenizer, template) = base.tokenizer()?;
    let of_matrices = tensors.iter().find(|tensor| tensor.dims.len() > 1).map(|tensor| match tensor.dtype {
        GgmlDType::F16 => Dtype::F16,
        GgmlDType::BF16 => Dtype::Bf16,
        _ => Dtype::F32,
    });
    let file_type = asked.or(of_matrices).unwrap_or(Dtype::F32).file_type();
    let mut keys = gguf::general(architecture, "model", name);
    keys.push((FILE_TYPE.to_owned(), Value::U32(file_type)));
    keys.extend(gguf::shape(architecture, &base.config));
    let of_tokenizer = tokenize::to_gguf(&tokenizer, &template, base.config.vocab_size);
    keys.extend(of_tokenizer.map_err(|source| ExportError::Tokenizer { source })?);
    Ok(keys)
}

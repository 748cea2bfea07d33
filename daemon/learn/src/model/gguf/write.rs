//! GGUF files, written tensor by tensor.

use std::{io::Write, path::Path};

use candle_core::quantized::{GgmlDType, gguf_file::Value};
use perennial_durable::{DurableFile, parent};

use super::header;
use crate::model::ModelError;

const VERSION: u32 = 3;

/// A tensor of a file that is written.
#[derive(Clone, Debug)]
pub(crate) struct GgufTensor {
    /// As the file calls it.
    pub(crate) name: String,
    /// The outermost first.
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: GgmlDType,
}

impl GgufTensor {
    /// How many bytes its values take.
    ///
    /// # Errors
    /// Where its rows are no whole blocks of its type.
    fn bytes(&self) -> Result<u64, String> {
        let (block, row) = (self.dtype.block_size(), self.dims.last().copied().unwrap_or(1));
        if !row.is_multiple_of(block) {
            return Err(format!("has rows of {row} values, which are no whole blocks of {block}"));
        }
        Ok((self.dims.iter().product::<usize>() / block * self.dtype.type_size()) as u64)
    }
}

/// Writes a file, durably: metadata in this order, then the tensors, the bytes of each from `data` when it is their turn, so that no
/// more than one is in memory.
///
/// # Errors
/// Where a tensor cannot be had or written, or its bytes are not as many as its shape says.
pub(crate) fn write_gguf<E: From<ModelError>>(
    path: &Path,
    metadata: &[(String, Value)],
    tensors: &[GgufTensor],
    mut data: impl FnMut(&GgufTensor) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    let known = metadata.iter().filter(|(key, _)| key == header::ALIGNMENT_KEY).cloned().collect();
    let alignment = header::alignment(&known).map_err(|problem| not_a_model(path, problem))?;
    let mut head = Vec::new();
    head.extend_from_slice(b"GGUF");
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    head.extend_from_slice(&(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut head, key);
        head.extend_from_slice(&type_of(value).to_le_bytes());
        put_value(&mut head, value);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        put_text(&mut head, &tensor.name);
        head.extend_from_slice(&(tensor.dims.len() as u32).to_le_bytes());
        // ggml counts from the innermost one.
        tensor.dims.iter().rev().for_each(|dim| head.extend_from_slice(&(*dim as u64).to_le_bytes()));
        let number = header::number_of(tensor.dtype);
        let number = number.ok_or_else(|| problem(path, tensor, format!("cannot be written as {:?}", tensor.dtype)))?;
        head.extend_from_slice(&number.to_le_bytes());
        head.extend_from_slice(&offset.to_le_bytes());
        let bytes = tensor.bytes().map_err(|text| problem(path, tensor, text))?;
        offset += bytes.next_multiple_of(alignment);
    }
    let mut file = DurableFile::create(parent(path)).map_err(ModelError::from)?;
    let mut put = |bytes: &[u8]| -> Result<(), ModelError> {
        file.write_all(bytes).map_err(ModelError::io(path))?;
        let padded = (bytes.len() as u64).next_multiple_of(alignment);
        file.write_all(&vec![0; padded as usize - bytes.len()]).map_err(ModelError::io(path))
    };
    put(&head)?;
    for tensor in tensors {
        let bytes = data(tensor)?;
        if Ok(bytes.len() as u64) != tensor.bytes() {
            return Err(problem(path, tensor, format!("comes with {} bytes", bytes.len())).into());
        }
        put(&bytes)?;
    }
    file.commit(path).map_err(ModelError::from)?;
    Ok(())
}

fn not_a_model(path: &Path, problem: String) -> ModelError {
    ModelError::NotAModel { path: path.to_owned(), problem }
}

fn problem(path: &Path, tensor: &GgufTensor, problem: String) -> ModelError {
    ModelError::Tensor { path: path.to_owned(), tensor: tensor.name.clone(), problem }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(&(text.len() as u64).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// GGUF's number of the type of a value.
fn type_of(value: &Value) -> u32 {
    match value {
        Value::U8(_) => 0,
        Value::I8(_) => 1,
        Value::U16(_) => 2,
        Value::I16(_) => 3,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
        Value::U64(_) => 10,
        Value::I64(_) => 11,
        Value::F64(_) => 12,
    }
}

fn put_value(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(number) => to.push(*number),
        Value::I8(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::U16(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::I16(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::U32(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::I32(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::F32(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::Bool(flag) => to.push(u8::from(*flag)),
        Value::String(text) => put_text(to, text),
        Value::Array(values) => {
            // What an empty list was of is not known any more; of texts, most are.
            let kind = values.first().map_or(8, type_of);
            to.extend_from_slice(&kind.to_le_bytes());
            to.extend_from_slice(&(values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| put_value(to, value));
        }
        Value::U64(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::I64(number) => to.extend_from_slice(&number.to_le_bytes()),
        Value::F64(number) => to.extend_from_slice(&number.to_le_bytes()),
    }
}

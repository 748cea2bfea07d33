//! Safetensors files, written tensor by tensor: a model may fill most of the memory, so it is not copied as a whole first.

use std::{borrow::Cow, io::Write, path::Path};

use perennial_durable::{DurableFile, parent};
use serde_json::{Map, Value, json};

use super::ModelError;

/// A tensor of a file that is written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As the format calls it.
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    /// How many bytes a value takes.
    pub(crate) value_bytes: usize,
}

/// Writes a file, durably: the bytes of each tensor come from `data` when it is their turn, so that no more than one is in memory.
///
/// # Errors
/// Where a tensor cannot be had or written, or its bytes are not as many as its shape says.
pub(crate) fn write_safetensors<'a, E: From<ModelError>>(
    path: &Path,
    entries: &[Entry],
    mut data: impl FnMut(&Entry) -> Result<Cow<'a, [u8]>, E>,
) -> Result<(), E> {
    let bytes_of = |entry: &Entry| entry.shape.iter().product::<usize>() * entry.value_bytes;
    let mut header = Map::new();
    // transformers wants to be told which framework's row order the tensors have.
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for entry in entries {
        let start = end;
        end += bytes_of(entry);
        let told = json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [start, end] });
        header.insert(entry.name.clone(), told);
    }
    let mut header = Value::Object(header).to_string();
    let padded = header.len().next_multiple_of(size_of::<u64>());
    header.extend(std::iter::repeat_n(' ', padded - header.len()));

    let mut file = DurableFile::create(parent(path)).map_err(ModelError::from)?;
    let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(ModelError::io(path));
    put(&(padded as u64).to_le_bytes())?;
    put(header.as_bytes())?;
    for entry in entries {
        let bytes = data(entry)?;
        if bytes.len() != bytes_of(entry) {
            let problem = format!("comes with {} bytes", bytes.len());
            return Err(ModelError::Tensor { path: path.to_owned(), tensor: entry.name.clone(), problem }.into());
        }
        put(&bytes)?;
    }
    file.commit(path).map_err(ModelError::from)?;
    Ok(())
}

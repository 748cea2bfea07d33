use std::{fs, io, path::Path};

use perennial_durable::write_durably;
use perennial_types::Fingerprint;

use super::{
    TrainError,
    checkpoint_file::{Header, Tensors, content_of, parse_file, serialize, tensor_bytes},
    numbers::Numbers,
};

/// What is kept beside an adapter for the runs that go on from it: tensors in a file of the form of a checkpoint.
pub(super) struct Kept {
    /// The adapter that it is of.
    pub(super) adapter: Fingerprint,
    /// Optimiser steps, where that says something.
    pub(super) steps: u64,
    /// By name.
    pub(super) tensors: Vec<Numbers>,
}

impl Kept {
    /// What a file holds; `None` where there is none. `damaged` is the error where it is not whole.
    pub(super) fn load(path: &Path, damaged: impl Fn(String) -> TrainError) -> Result<Option<Self>, TrainError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TrainError::Io { action: "read", path: path.to_owned(), source }),
        };
        let (header, found) = parse_file(&bytes).map_err(damaged)?;
        let numbers = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let numbers = view.data().as_chunks().0.iter();
            let values = numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Numbers { name, shape: view.shape().to_vec(), values }
        };
        let mut tensors: Vec<Numbers> = found.tensors().into_iter().map(numbers).collect();
        tensors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(Self { adapter: header.run, steps: header.step, tensors }))
    }

    /// Writes it durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), TrainError> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensors: Tensors =
            self.tensors.iter().map(|of| (of.name.clone(), of.shape.clone(), bytes(&of.values))).collect();
        let content = content_of(tensor_bytes(&tensors));
        let header = Header { run: self.adapter, step: self.steps, drawn: 0, watch: None, content };
        let bytes = serialize(&tensors, &header).map_err(TrainError::Checkpoint)?;
        Ok(write_durably(path, &bytes)?)
    }
}

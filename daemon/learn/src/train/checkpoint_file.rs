//! The bytes of a checkpoint: parameters, the optimiser's state and what validation kept, in safetensors.

use std::collections::HashMap;

use perennial_types::{Fingerprint, Fingerprinter};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{parameters::Parameter, state::State, validation::Watch};

const HEADER_KEY: &str = "perennial";
const MEAN: &str = ".mean";
const SQUARE: &str = ".square";
const BEST: &str = ".best";
const AVERAGE: &str = ".ema";

/// What stands in a checkpoint's header.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) run: Fingerprint,
    pub(super) step: u64,
    /// 0 where nothing is drawn.
    #[serde(default)]
    pub(super) drawn: u64,
    /// What validation has said, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) watch: Option<Watch>,
    /// Over names and bytes of all tensors: a file of the right length may still hold wrong bytes.
    pub(super) content: Fingerprint,
}

pub(super) type Tensors = Vec<(String, Vec<usize>, Vec<u8>)>;

pub(super) fn tensors_of(state: &State) -> Tensors {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut tensors = Tensors::new();
    let optimizer = state.optimizer.means.iter().zip(&state.optimizer.squares);
    for (matrix, (mean, square)) in state.parameters.matrices.iter().zip(optimizer) {
        for (suffix, values) in [("", &matrix.values), (MEAN, mean), (SQUARE, square)] {
            tensors.push((matrix.name() + suffix, matrix.shape.to_vec(), bytes(values)));
        }
    }
    for (suffix, also) in [(BEST, &state.best), (AVERAGE, &state.average)] {
        for (matrix, values) in state.parameters.matrices.iter().zip(also.iter().flatten()) {
            tensors.push((matrix.name() + suffix, matrix.shape.to_vec(), bytes(values)));
        }
    }
    tensors.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    tensors
}

pub(super) fn tensor_bytes(tensors: &Tensors) -> impl Iterator<Item = (&str, &[u8])> {
    tensors.iter().map(|(name, _, bytes)| (name.as_str(), bytes.as_slice()))
}

/// Of tensors in the order of their names.
pub(super) fn content_of<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::new();
    for (name, bytes) in tensors {
        fingerprinter.add(name.as_bytes());
        fingerprinter.add(bytes);
    }
    fingerprinter.finish()
}

pub(super) fn serialize(tensors: &Tensors, header: &Header) -> Result<Vec<u8>, String> {
    let header = serde_json::to_string(header).map_err(|error| error.to_string())?;
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| error.to_string())?;
    let metadata = HashMap::from([(HEADER_KEY.to_owned(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

pub(super) fn parse_file(bytes: &[u8]) -> Result<(Header, SafeTensors<'_>), String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|map| map.get(HEADER_KEY)).ok_or("it has no header")?;
    let header: Header = serde_json::from_str(header).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut views = tensors.tensors();
    views.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    if content_of(views.iter().map(|(name, view)| (name.as_str(), view.data()))) != header.content {
        return Err("its bytes are not those that were written".to_owned());
    }
    Ok((header, tensors))
}

pub(super) fn restore(tensors: &SafeTensors<'_>, header: &Header, start: &State) -> Result<State, String> {
    let read = |name: String, values: &mut Vec<f32>| -> Result<(), String> {
        let view = tensors.tensor(&name).map_err(|error| error.to_string())?;
        let numbers = view.data().as_chunks().0;
        if view.dtype() != Dtype::F32 || numbers.len() != values.len() {
            return Err(format!("tensor {name} has another shape"));
        }
        *values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(())
    };
    let mut state = start.clone();
    state.optimizer.step = header.step;
    state.drawn = header.drawn;
    state.watch.clone_from(&header.watch);
    let optimizer = state.optimizer.means.iter_mut().zip(&mut state.optimizer.squares);
    for (matrix, (mean, square)) in state.parameters.matrices.iter_mut().zip(optimizer) {
        let name = matrix.name();
        read(name.clone() + MEAN, mean)?;
        read(name.clone() + SQUARE, square)?;
        read(name, &mut matrix.values)?;
    }
    let has = |suffix: &str| tensors.names().iter().any(|name| name.ends_with(suffix));
    state.best = has(BEST).then(|| also(&state, BEST, read)).transpose()?;
    state.average = has(AVERAGE).then(|| also(&state, AVERAGE, read)).transpose()?;
    Ok(state)
}

/// Further values of all matrices, under their names with a suffix.
fn also(
    state: &State,
    suffix: &str,
    read: impl Fn(String, &mut Vec<f32>) -> Result<(), String>,
) -> Result<Vec<Vec<f32>>, String> {
    let of = |matrix: &Parameter| {
        let mut values = vec![0.0; matrix.values.len()];
        read(matrix.name() + suffix, &mut values).map(|()| values)
    };
    state.parameters.matrices.iter().map(of).collect()
}

//! What the reference says of the sequences of a run: computed once, before the first step, and kept beside the checkpoints.

use std::{collections::HashMap, fs, io, path::PathBuf};

use perennial_durable::write_durably;
use perennial_types::Fingerprint;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    adapter::Adapter,
    tokenize::Encoded,
    train::{
        StopFlag, TrainError, checkpoint::Checkpoints, forward::logprobs, micro_batch::targets_of, passes::Passes,
    },
};

/// Targets of all sequences of a run, at most: what is kept of them takes 1 GiB, in memory and on the disk.
const TARGETS_MAX: usize = 1 << 28;
const FILE: &str = "reference.safetensors";
const TENSOR: &str = "logprobs";
const HEADER_KEY: &str = "perennial";

/// Per unit and sequence, the log-probability of each target under the adapter, or under the base model without one: from the
/// file, or computed and then kept there. `None` where it was asked to stop before all were computed.
pub(super) fn of(
    units: &[&[Encoded]],
    adapter: Option<&Adapter>,
    passes: &mut Passes<'_>,
    tokens_per_micro_batch: usize,
    checkpoints: &Checkpoints<'_>,
    stop: &StopFlag,
) -> Result<Option<Vec<Vec<Vec<f32>>>>, TrainError> {
    let targets: usize = units.iter().copied().flatten().map(|sequence| targets_of(sequence).count()).sum();
    if targets > TARGETS_MAX {
        return Err(TrainError::TooManyTargets { targets, targets_max: TARGETS_MAX });
    }
    let file = File { path: checkpoints.dir.join(FILE), run: checkpoints.names.run };
    if let Some(values) = file.read(targets)? {
        return Ok(Some(dealt(&values, units)));
    }
    let Some(values) = computed(units, adapter, passes, tokens_per_micro_batch, stop)? else { return Ok(None) };
    if values.iter().any(|value| !value.is_finite()) {
        let examples = (0..units.len()).collect();
        return Err(TrainError::NotFinite { what: "what the reference says", step: 1, examples });
    }
    file.write(&values)?;
    Ok(Some(dealt(&values, units)))
}

/// The log-probability of each target of all sequences, one after the other. `None` where it was asked to stop.
pub(super) fn computed(
    units: &[&[Encoded]],
    adapter: Option<&Adapter>,
    passes: &mut Passes<'_>,
    tokens_per_micro_batch: usize,
    stop: &StopFlag,
) -> Result<Option<Vec<f32>>, TrainError> {
    let sequences: Vec<&Encoded> = units.iter().copied().flatten().collect();
    Ok(logprobs(passes, adapter, &sequences, 1.0, tokens_per_micro_batch, stop)?.map(|found| found.concat()))
}

/// A value per target as values per unit and sequence.
pub(super) fn dealt(mut values: &[f32], units: &[&[Encoded]]) -> Vec<Vec<Vec<f32>>> {
    let mut of_sequence = |sequence: &Encoded| {
        let (own, others) = values.split_at(targets_of(sequence).count());
        values = others;
        own.to_vec()
    };
    units.iter().map(|unit| unit.iter().map(&mut of_sequence).collect()).collect()
}

struct File {
    path: PathBuf,
    /// The run that it belongs to.
    run: Fingerprint,
}

impl File {
    /// What was written for this run; `None` where there is nothing, or nothing that is whole.
    fn read(&self, targets: usize) -> Result<Option<Vec<f32>>, TrainError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TrainError::Io { action: "read", path: self.path.clone(), source }),
        };
        let values = self.parse(&bytes).filter(|values| values.len() == targets);
        if values.is_none() {
            let path = self.path.display();
            tracing::warn!(%path, "computing anew what the reference says: the file is damaged, or another run's");
        }
        Ok(values)
    }

    fn parse(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        let header = metadata.metadata().as_ref()?;
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let view = tensors.tensor(TENSOR).ok().filter(|view| view.dtype() == Dtype::F32)?;
        let whole = header.get(HEADER_KEY) == Some(&self.header(view.data()));
        whole.then(|| view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn write(&self, values: &[f32]) -> Result<(), TrainError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let header = HashMap::from([(HEADER_KEY.to_owned(), self.header(&bytes))]);
        let serialized = TensorView::new(Dtype::F32, vec![values.len()], &bytes)
            .and_then(|view| safetensors::serialize([(TENSOR, view)], Some(header)))
            .map_err(|error| TrainError::Checkpoint(error.to_string()))?;
        Ok(write_durably(&self.path, &serialized)?)
    }

    /// The run, and what the bytes are: a file of the right length may still hold wrong ones.
    fn header(&self, bytes: &[u8]) -> String {
        format!("run {} content {}", self.run, Fingerprint::of(bytes))
    }
}

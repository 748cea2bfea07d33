use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use perennial_durable::{failpoint, write_durably};
use perennial_types::{Fingerprint, Fingerprinter};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{TrainError, adamw::AdamW, canonical::Names, parameters::Parameters};

/// Checkpoints that are kept. Two, so that there is one to go back to where the newest cannot be read.
const CHECKPOINTS_KEPT: usize = 2;
const EXTENSION: &str = "safetensors";
const HEADER_KEY: &str = "perennial";
const MEAN: &str = ".mean";
const SQUARE: &str = ".square";

/// What stands in a checkpoint's header.
#[derive(Serialize, Deserialize)]
struct Header {
    run: Fingerprint,
    step: u64,
    /// 0 where nothing is drawn.
    #[serde(default)]
    drawn: u64,
    /// Over names and bytes of all tensors: a file of the right length may still hold wrong bytes.
    content: Fingerprint,
}

/// The state of a run after some step.
#[derive(Clone)]
pub(super) struct State {
    pub(super) parameters: Parameters,
    pub(super) optimizer: AdamW,
    /// Prompts drawn so far, where that does not follow from the step.
    pub(super) drawn: u64,
}

/// The checkpoints of one run in a folder, a file each.
pub(super) struct Checkpoints<'a> {
    pub(super) dir: &'a Path,
    /// The run they belong to.
    pub(super) names: Names,
}

type Tensors = Vec<(String, Vec<usize>, Vec<u8>)>;

impl Checkpoints<'_> {
    /// Writes a checkpoint durably and removes those that are no longer needed.
    pub(super) fn save(&self, state: &State) -> Result<(), TrainError> {
        let tensors = tensors_of(state);
        let (step, drawn) = (state.optimizer.step, state.drawn);
        let header = Header { run: self.names.run, step, drawn, content: content_of(tensor_bytes(&tensors)) };
        let bytes = serialize(&tensors, &header).map_err(TrainError::Checkpoint)?;
        let path = self.dir.join(file_name(header.step));
        write_durably(&path, &bytes)?;
        for (_, old) in self.list()?.into_iter().skip(CHECKPOINTS_KEPT) {
            failpoint::hit("checkpoint.remove")
                .and_then(|()| fs::remove_file(&old))
                .map_err(|source| TrainError::Io { action: "remove", path: old, source })?;
        }
        Ok(())
    }

    /// The state in the newest checkpoint that is whole, in the shape of `start`; `None` where there is none. One that is
    /// damaged is passed over with a warning.
    pub(super) fn load_newest(&self, start: &State) -> Result<Option<State>, TrainError> {
        for (_, path) in self.list()? {
            let bytes =
                fs::read(&path).map_err(|source| TrainError::Io { action: "read", path: path.clone(), source })?;
            match self.parse(&path, &bytes, start)? {
                Ok(state) => return Ok(Some(state)),
                Err(problem) => tracing::warn!(path = %path.display(), problem, "passing over a damaged checkpoint"),
            }
        }
        Ok(None)
    }

    /// Step and path of each checkpoint, newest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>, TrainError> {
        let failed = |source| TrainError::Io { action: "list", path: self.dir.to_owned(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(step) = step_of(&path) {
                found.push((step, path));
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    /// The outer error ends the run, the inner one passes the file over.
    fn parse(&self, path: &Path, bytes: &[u8], start: &State) -> Result<Result<State, String>, TrainError> {
        let (header, tensors) = match parse_file(bytes) {
            Ok(parsed) => parsed,
            Err(problem) => return Ok(Err(problem)),
        };
        if header.run != self.names.run && Some(header.run) != self.names.before {
            return Err(TrainError::OtherRun { path: path.to_owned() });
        }
        Ok(restore(&tensors, &header, start))
    }
}

/// The step of the newest checkpoint in a folder, from its name alone; `None` where there is none.
pub fn newest_checkpoint(dir: &Path) -> Option<u64> {
    let entries = fs::read_dir(dir).ok()?;
    entries.filter_map(|entry| step_of(&entry.ok()?.path())).max()
}

fn file_name(step: u64) -> String {
    format!("step-{step:08}.{EXTENSION}")
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
}

fn tensors_of(state: &State) -> Tensors {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut tensors = Tensors::new();
    let optimizer = state.optimizer.means.iter().zip(&state.optimizer.squares);
    for (matrix, (mean, square)) in state.parameters.matrices.iter().zip(optimizer) {
        for (suffix, values) in [("", &matrix.values), (MEAN, mean), (SQUARE, square)] {
            tensors.push((matrix.name() + suffix, matrix.shape.to_vec(), bytes(values)));
        }
    }
    tensors.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    tensors
}

fn tensor_bytes(tensors: &Tensors) -> impl Iterator<Item = (&str, &[u8])> {
    tensors.iter().map(|(name, _, bytes)| (name.as_str(), bytes.as_slice()))
}

/// Of tensors in the order of their names.
fn content_of<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::new();
    for (name, bytes) in tensors {
        fingerprinter.add(name.as_bytes());
        fingerprinter.add(bytes);
    }
    fingerprinter.finish()
}

fn serialize(tensors: &Tensors, header: &Header) -> Result<Vec<u8>, String> {
    let header = serde_json::to_string(header).map_err(|error| error.to_string())?;
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| error.to_string())?;
    let metadata = HashMap::from([(HEADER_KEY.to_owned(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

fn parse_file(bytes: &[u8]) -> Result<(Header, SafeTensors<'_>), String> {
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

fn restore(tensors: &SafeTensors<'_>, header: &Header, start: &State) -> Result<State, String> {
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
    let optimizer = state.optimizer.means.iter_mut().zip(&mut state.optimizer.squares);
    for (matrix, (mean, square)) in state.parameters.matrices.iter_mut().zip(optimizer) {
        let name = matrix.name();
        read(name.clone() + MEAN, mean)?;
        read(name.clone() + SQUARE, square)?;
        read(name, &mut matrix.values)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, LoraConfig, tiny_model};

    fn named(name: &[u8]) -> Names {
        Names { run: Fingerprint::of(name), before: None }
    }

    fn state(step: u64, seed: u64) -> State {
        let parameters =
            Parameters::from_adapter(&Adapter::init(&LoraConfig::default(), &tiny_model(), seed).unwrap()).unwrap();
        let mut optimizer = AdamW::new(&parameters);
        optimizer.step = step;
        optimizer.squares.iter_mut().flatten().enumerate().for_each(|(i, value)| *value = i as f32);
        State { parameters, optimizer, drawn: 2 * step }
    }

    fn same(one: &State, other: &State) -> bool {
        (one.optimizer.step, one.drawn) == (other.optimizer.step, other.drawn)
            && content_of(tensor_bytes(&tensors_of(one))) == content_of(tensor_bytes(&tensors_of(other)))
    }

    #[test]
    fn the_newest_is_known_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest_checkpoint(&dir.path().join("none")), None);
        for step in [3, 12] {
            fs::write(dir.path().join(file_name(step)), "").unwrap();
        }
        fs::write(dir.path().join("metrics.jsonl"), "").unwrap();
        assert_eq!(newest_checkpoint(dir.path()), Some(12));
    }

    #[test]
    fn the_newest_comes_back_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints { dir: dir.path(), names: named(b"run") };
        assert!(checkpoints.load_newest(&state(0, 1)).unwrap().is_none());
        for step in [5, 10, 15] {
            checkpoints.save(&state(step, step)).unwrap();
        }
        assert_eq!(checkpoints.list().unwrap().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [15, 10]);
        assert!(same(&checkpoints.load_newest(&state(0, 1)).unwrap().unwrap(), &state(15, 15)));
    }

    #[test]
    fn damaged_ones_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints { dir: dir.path(), names: named(b"run") };
        let newest = dir.path().join(file_name(10));
        type Damage = fn(&mut Vec<u8>);
        let damages: [Damage; 4] = [
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| bytes.clear(),
            |bytes| bytes.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1),
            |bytes| bytes.fill(0),
        ];
        for damage in damages {
            checkpoints.save(&state(5, 5)).unwrap();
            checkpoints.save(&state(10, 10)).unwrap();
            let mut bytes = fs::read(&newest).unwrap();
            damage(&mut bytes);
            fs::write(&newest, &bytes).unwrap();
            assert!(same(&checkpoints.load_newest(&state(0, 1)).unwrap().unwrap(), &state(5, 5)));
        }
    }

    #[test]
    fn another_runs_checkpoint_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Checkpoints { dir: dir.path(), names: named(b"one") }.save(&state(5, 5)).unwrap();
        let other = Checkpoints { dir: dir.path(), names: named(b"other") };
        assert!(matches!(other.load_newest(&state(0, 1)), Err(TrainError::OtherRun { .. })));
        let before = Some(Fingerprint::of(b"one"));
        let renamed = Checkpoints { dir: dir.path(), names: Names { before, ..named(b"other") } };
        assert!(same(&renamed.load_newest(&state(0, 1)).unwrap().unwrap(), &state(5, 5)));
    }
}

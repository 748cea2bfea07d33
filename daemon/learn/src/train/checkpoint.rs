use std::{
    fs,
    path::{Path, PathBuf},
};

use perennial_durable::{failpoint, write_durably};

use super::{
    TrainError,
    canonical::Names,
    checkpoint_file::{Header, content_of, parse_file, restore, serialize, tensor_bytes, tensors_of},
    state::State,
};

/// Checkpoints that are kept. Two, so that there is one to go back to where the newest cannot be read.
const CHECKPOINTS_KEPT: usize = 2;
const EXTENSION: &str = "safetensors";

/// The checkpoints of one run in a folder, a file each.
pub(super) struct Checkpoints<'a> {
    pub(super) dir: &'a Path,
    /// The run they belong to.
    pub(super) names: Names,
}

impl Checkpoints<'_> {
    /// Writes a checkpoint durably and removes those that are no longer needed.
    pub(super) fn save(&self, state: &State) -> Result<(), TrainError> {
        let tensors = tensors_of(state);
        let (step, drawn) = (state.optimizer.step, state.drawn);
        let (watch, content) = (state.watch.clone(), content_of(tensor_bytes(&tensors)));
        let header = Header { run: self.names.run, step, drawn, watch, content };
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

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;

    use super::*;
    use crate::adapter::{Adapter, LoraConfig, tiny_model};
    use crate::train::{adamw::AdamW, parameters::Parameters};

    fn named(name: &[u8]) -> Names {
        Names { run: Fingerprint::of(name), before: None }
    }

    fn state(step: u64, seed: u64) -> State {
        let parameters =
            Parameters::from_adapter(&Adapter::init(&LoraConfig::default(), &tiny_model(), seed).unwrap()).unwrap();
        let mut optimizer = AdamW::new(&parameters);
        optimizer.step = step;
        optimizer.squares.iter_mut().flatten().enumerate().for_each(|(i, value)| *value = i as f32);
        State { parameters, optimizer, drawn: 2 * step, average: None, watch: None, best: None }
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

use std::{collections::BTreeMap, marker::PhantomData, path::Path};

use perennial_durable::AppendFile;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{TrainError, Validation};

/// The file of a run's progress, one JSON object per optimiser step, and one per validation among them.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// One optimiser step of a run that learns from rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps that are through, this one included.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Epochs that are through.
    pub epoch: f64,
    /// The loss before the step: of supervised fine-tuning in nats per target.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens read in the step.
    pub tokens: u64,
    /// Targets among them.
    pub supervised_tokens: u64,
    /// Wall time of the step.
    pub seconds: f64,
    /// Tokens read per second.
    pub tokens_per_second: f64,
    /// What its objective measures besides, by name: means over the units of the step.
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
}

/// A line of a metrics file.
pub(super) trait Line: Serialize + DeserializeOwned {
    fn step(&self) -> u64;
    fn loss(&self) -> f64;
    /// Whether there was anything to learn in the step.
    fn learned(&self) -> bool;
}

impl Line for Progress {
    fn step(&self) -> u64 {
        self.step
    }

    fn loss(&self) -> f64 {
        self.loss
    }

    fn learned(&self) -> bool {
        self.learning_rate > 0.0 && self.gradient_norm > 0.0
    }
}

/// Appends to the metrics file.
pub(super) struct Metrics<L> {
    file: AppendFile,
    last_loss: Option<f64>,
    learned: bool,
    lines: PhantomData<L>,
}

impl<L: Line> Metrics<L> {
    /// Opens the file in a folder. Lines of steps after `step` are dropped: they were taken after the checkpoint that the
    /// run goes on from, and will be taken again. So is what a crash left of a line, and a validation after the one that the
    /// checkpoint knows of.
    pub(super) fn open(dir: &Path, step: u64, validated_at: Option<u64>) -> Result<Self, TrainError> {
        let (mut last_loss, mut learned) = (None, false);
        let file = AppendFile::open(&dir.join(METRICS_FILE), |line| {
            if let Ok(validation) = serde_json::from_str::<Validation>(line) {
                return validated_at.is_some_and(|at| validation.step <= at);
            }
            let Some(before) = serde_json::from_str::<L>(line).ok().filter(|progress| progress.step() <= step) else {
                return false;
            };
            last_loss = Some(before.loss());
            learned |= before.learned();
            true
        })?;
        Ok(Self { file, last_loss, learned, lines: PhantomData })
    }

    /// The loss of the newest step.
    pub(super) fn last_loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Whether a step learned anything, as far as is known: what is not there is not held against the run.
    pub(super) fn learned(&self) -> bool {
        self.learned || self.last_loss.is_none()
    }

    pub(super) fn append(&mut self, progress: &L) -> Result<(), TrainError> {
        let line = serde_json::to_string(progress).map_err(|error| TrainError::Checkpoint(error.to_string()))?;
        self.file.append(&line)?;
        self.last_loss = Some(progress.loss());
        self.learned |= progress.learned();
        Ok(())
    }

    pub(super) fn append_validation(&mut self, validation: &Validation) -> Result<(), TrainError> {
        let line = serde_json::to_string(validation).map_err(|error| TrainError::Checkpoint(error.to_string()))?;
        Ok(self.file.append(&line)?)
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&mut self) -> Result<(), TrainError> {
        Ok(self.file.sync()?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn progress(step: u64) -> Progress {
        Progress {
            step,
            steps: 9,
            epoch: 0.5,
            loss: 1.0,
            learning_rate: 1e-4,
            gradient_norm: 0.1,
            tokens: 10,
            supervised_tokens: 5,
            seconds: 2.0,
            tokens_per_second: 5.0,
            figures: BTreeMap::from([("rewards/margins".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn a_resumed_run_drops_what_it_will_do_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0, None).unwrap();
        (1..=4).for_each(|step| metrics.append(&progress(step)).unwrap());
        let path = dir.path().join(METRICS_FILE);
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"step\": 3, \"st".to_vec()].concat()).unwrap();
        let mut metrics = Metrics::open(dir.path(), 3, None).unwrap();
        metrics.append(&progress(4)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text.lines().map(|line| serde_json::from_str::<Progress>(line).unwrap().step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        assert_eq!(serde_json::from_str::<Progress>(text.lines().next().unwrap()).unwrap(), progress(1));
    }

    #[test]
    fn a_run_that_goes_on_knows_whether_its_steps_learned() {
        let dir = tempfile::tempdir().unwrap();
        let idle = |step| Progress { gradient_norm: 0.0, ..progress(step) };
        let mut metrics = Metrics::open(dir.path(), 0, None).unwrap();
        (1..=2).for_each(|step| metrics.append(&idle(step)).unwrap());
        assert!(!metrics.learned());
        assert!(!Metrics::<Progress>::open(dir.path(), 2, None).unwrap().learned());
        let mut metrics = Metrics::open(dir.path(), 2, None).unwrap();
        metrics.append(&progress(3)).unwrap();
        assert!(Metrics::<Progress>::open(dir.path(), 3, None).unwrap().learned());
        assert!(Metrics::<Progress>::open(tempfile::tempdir().unwrap().path(), 3, None).unwrap().learned());
    }
}

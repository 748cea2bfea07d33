use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::TrainError;
use crate::adapter::durable;

/// The file of a run's progress, one JSON object per optimiser step.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// One optimiser step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps that are through, this one included.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Epochs that are through.
    pub epoch: f64,
    /// The loss before the step, in nats per target.
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
    path: PathBuf,
    file: File,
    last_loss: Option<f64>,
    learned: bool,
    lines: PhantomData<L>,
}

impl<L: Line> Metrics<L> {
    /// Opens the file in a folder. Lines of steps after `step` are dropped: they were taken after the checkpoint that the
    /// run goes on from, and will be taken again. So is what a crash left of a line.
    pub(super) fn open(dir: &Path, step: u64) -> Result<Self, TrainError> {
        let path = dir.join(METRICS_FILE);
        let (file, last_loss, learned) = open_at::<L>(&path, step).map_err(|source| TrainError::Io {
            action: "open",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, file, last_loss, learned, lines: PhantomData })
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
        let line = serde_json::to_string(progress).map_err(io::Error::from);
        let written = line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(|source| TrainError::Io { action: "append to", path: self.path.clone(), source })?;
        self.last_loss = Some(progress.loss());
        self.learned |= progress.learned();
        Ok(())
    }
}

fn open_at<L: Line>(path: &Path, step: u64) -> io::Result<(File, Option<f64>, bool)> {
    let old = match fs::read(path) {
        Ok(old) => String::from_utf8_lossy(&old).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let (mut kept, mut last_loss, mut learned) = (String::new(), None, false);
    for line in old.lines() {
        match serde_json::from_str::<L>(line) {
            Ok(progress) if progress.step() <= step => {
                last_loss = Some(progress.loss());
                learned |= progress.learned();
            }
            _ => continue,
        }
        kept.extend([line, "\n"]);
    }
    durable::write(path, kept.as_bytes())?;
    Ok((OpenOptions::new().append(true).open(path)?, last_loss, learned))
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
    fn a_resumed_run_drops_what_it_will_do_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        (1..=4).for_each(|step| metrics.append(&progress(step)).unwrap());
        metrics.file.write_all(b"{\"step\": 5, \"st").unwrap();
        let mut metrics = Metrics::open(dir.path(), 3).unwrap();
        metrics.append(&progress(4)).unwrap();
        let text = fs::read_to_string(dir.path().join(METRICS_FILE)).unwrap();
        let steps: Vec<u64> = text.lines().map(|line| serde_json::from_str::<Progress>(line).unwrap().step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }

    #[test]
    fn a_run_that_goes_on_knows_whether_its_steps_learned() {
        let dir = tempfile::tempdir().unwrap();
        let idle = |step| Progress { gradient_norm: 0.0, ..progress(step) };
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        (1..=2).for_each(|step| metrics.append(&idle(step)).unwrap());
        assert!(!metrics.learned());
        assert!(!Metrics::<Progress>::open(dir.path(), 2).unwrap().learned());
        let mut metrics = Metrics::open(dir.path(), 2).unwrap();
        metrics.append(&progress(3)).unwrap();
        assert!(Metrics::<Progress>::open(dir.path(), 3).unwrap().learned());
        assert!(Metrics::<Progress>::open(tempfile::tempdir().unwrap().path(), 3).unwrap().learned());
    }
}

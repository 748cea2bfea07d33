use std::{collections::BTreeSet, path::Path};

use perennial_durable::{create_folder_durably, sweep_temporary};

use super::{
    Outcome, TrainConfig, TrainError, Trained,
    adamw::{AdamW, clip},
    canonical::Names,
    checkpoint::{Checkpoints, State},
    metrics::{Line, Metrics},
    parameters::Parameters,
    schedule::{learning_rate, never_learns},
};
use crate::{
    adapter::{Adapter, LoraConfig, check_rebase},
    model::Model,
};

/// A run under way: its state, and how much of that is on disk.
pub(super) struct Run<'a, L> {
    pub(super) state: State,
    /// Optimiser steps of the whole run.
    steps: u64,
    config: &'a TrainConfig,
    checkpoints: Checkpoints<'a>,
    /// The step of the newest checkpoint.
    saved_at: u64,
    metrics: Metrics<L>,
}

/// What an update of the parameters did.
pub(super) struct Update {
    pub(super) learning_rate: f64,
    /// The global norm of the gradient before clipping.
    pub(super) gradient_norm: f64,
}

impl<'a, L: Line> Run<'a, L> {
    /// Starts a run of so many steps in a folder, or goes on from the newest checkpoint there.
    pub(super) fn open(
        start: State,
        names: Names,
        steps: u64,
        config: &'a TrainConfig,
        dir: &'a Path,
    ) -> Result<Self, TrainError> {
        if never_learns(config, steps) {
            return Err(TrainError::NoLearningRate { steps, warmup_ratio: config.warmup_ratio });
        }
        create_folder_durably(dir)?;
        sweep_temporary(dir)?;
        let checkpoints = Checkpoints { dir, names };
        let state = checkpoints.load_newest(&start)?.unwrap_or(start);
        let saved_at = state.optimizer.step;
        let metrics = Metrics::open(dir, saved_at)?;
        Ok(Self { state, steps, config, checkpoints, saved_at, metrics })
    }

    /// Optimiser steps that are through.
    pub(super) fn step(&self) -> u64 {
        self.state.optimizer.step
    }

    /// Where it keeps its checkpoints.
    pub(super) fn checkpoints(&self) -> &Checkpoints<'a> {
        &self.checkpoints
    }

    pub(super) fn is_through(&self) -> bool {
        self.step() >= self.steps
    }

    /// Takes an optimiser step. `examples` are what the gradients were computed from.
    pub(super) fn update(&mut self, mut gradients: Vec<Vec<f32>>, examples: &[usize]) -> Result<Update, TrainError> {
        let step = self.step();
        let gradient_norm = clip(&mut gradients, self.config.gradient_norm_max);
        if !gradient_norm.is_finite() {
            let (what, examples) = ("the norm of the gradient", examples.to_vec());
            return Err(TrainError::NotFinite { what, step: step + 1, examples });
        }
        let learning_rate = learning_rate(self.config, step, self.steps);
        self.state.optimizer.update(&mut self.state.parameters, &gradients, learning_rate, self.config);
        Ok(Update { learning_rate, gradient_norm })
    }

    pub(super) fn record(&mut self, line: &L) -> Result<(), TrainError> {
        self.metrics.append(line)
    }

    /// Writes a checkpoint at the end of the run, and where enough steps were taken since the last one.
    pub(super) fn save_if_due(&mut self) -> Result<(), TrainError> {
        if self.is_through() || self.step() - self.saved_at >= self.config.checkpoint_interval_steps {
            self.save()?;
        }
        Ok(())
    }

    /// Writes a checkpoint where there is none of this step.
    pub(super) fn stop(mut self) -> Result<Outcome, TrainError> {
        if self.saved_at != self.step() {
            self.save()?;
        }
        Ok(Outcome::Stopped { step: self.step() })
    }

    /// `seen` is what its steps were made of.
    pub(super) fn finish(self, seen: BTreeSet<usize>) -> Result<Outcome, TrainError> {
        let (adapter, loss) = (self.state.parameters.to_adapter()?, self.metrics.last_loss());
        let learned = self.metrics.learned();
        let run = self.checkpoints.names.run;
        Ok(Outcome::Trained(Trained { adapter, steps: self.steps, loss, learned, seen, run }))
    }

    fn save(&mut self) -> Result<(), TrainError> {
        // First, so that a run which goes on from the checkpoint finds the lines of all steps before it.
        self.metrics.sync()?;
        self.checkpoints.save(&self.state)?;
        self.saved_at = self.step();
        Ok(())
    }
}

/// That an adapter of the shape `parent` can be trained on as configured.
///
/// # Errors
/// [`TrainError::OtherShape`]
pub fn check_shape(parent: &LoraConfig, config: &LoraConfig) -> Result<(), TrainError> {
    let (differences, can_rebase) = (parent.differences(config), check_rebase(parent, config).is_ok());
    if differences.is_empty() { Ok(()) } else { Err(TrainError::OtherShape { differences, can_rebase }) }
}

/// The state before the first step: the parent, or a fresh adapter.
pub(super) fn start_of(model: &Model, parent: Option<Adapter>, config: &TrainConfig) -> Result<State, TrainError> {
    let adapter = match parent {
        Some(parent) => {
            check_shape(parent.config(), &config.lora)?;
            parent
        }
        None => Adapter::init(&config.lora, model, config.seed)?,
    };
    adapter.check_fits(&model.config)?;
    let parameters = Parameters::from_adapter(&adapter)?;
    let optimizer = AdamW::new(&parameters);
    Ok(State { parameters, optimizer, drawn: 0 })
}

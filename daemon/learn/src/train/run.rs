use std::{collections::BTreeSet, path::Path};

use perennial_durable::{create_folder_durably, sweep_temporary};

use super::{
    OptimizerState, Outcome, TrainConfig, TrainError, Trained,
    adamw::{AdamW, clip},
    canonical::Names,
    checkpoint::Checkpoints,
    ema,
    frozen::Frozen,
    metrics::{Line, Metrics},
    parameters::Parameters,
    schedule::{learning_rate, never_learns},
    state::State,
    validation::{Validation, ValidationLoss, Validator},
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
    /// What stays as it is.
    frozen: Frozen,
    config: &'a TrainConfig,
    checkpoints: Checkpoints<'a>,
    /// The step of the newest checkpoint.
    saved_at: u64,
    /// Whether there is more than the newest checkpoint holds.
    unsaved: bool,
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
        frozen: Frozen,
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
        let metrics = Metrics::open(dir, saved_at, state.watch.as_ref().and_then(|watch| watch.asked_at))?;
        Ok(Self { state, steps, frozen, config, checkpoints, saved_at, unsaved: false, metrics })
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
        self.step() >= self.steps || self.is_out_of_patience()
    }

    fn is_out_of_patience(&self) -> bool {
        let patience = self.config.early_stopping_patience;
        self.state.watch.as_ref().is_some_and(|watch| watch.is_out_of_patience(patience))
    }

    /// Whether the validation loss is due and was not asked for yet.
    pub(super) fn awaits_validation(&self, validator: &dyn Validator) -> bool {
        let (step, asked_at) = (self.step(), self.state.watch.as_ref().and_then(|watch| watch.asked_at));
        let due = step == 0 || step >= self.steps || validator.is_due(step);
        due && asked_at != Some(step) && !self.is_out_of_patience()
    }

    /// Takes in the validation loss after the newest step, which `seconds` were spent on.
    pub(super) fn validated(
        &mut self,
        loss: ValidationLoss,
        epoch: f64,
        seconds: f64,
    ) -> Result<Validation, TrainError> {
        let step = self.step();
        let best = self.state.watch.get_or_insert_default().take(step, &loss);
        if best && self.config.load_best_model_at_end {
            self.state.best = Some(self.state.outcome().values());
        }
        let ValidationLoss { loss: eval_loss, balanced: eval_loss_balanced, origins: eval_loss_by_origin } = loss;
        let line =
            Validation { step, epoch, eval_loss, eval_loss_balanced, eval_loss_by_origin, eval_runtime: seconds };
        self.metrics.append_validation(&line)?;
        self.unsaved = true;
        Ok(line)
    }

    /// Takes an optimiser step. `examples` are what the gradients were computed from.
    pub(super) fn update(&mut self, mut gradients: Vec<Vec<f32>>, examples: &[usize]) -> Result<Update, TrainError> {
        let step = self.step();
        self.frozen.still(&self.state.parameters.matrices, &mut gradients);
        let gradient_norm = clip(&mut gradients, self.config.gradient_norm_max);
        if !gradient_norm.is_finite() {
            let (what, examples) = ("the norm of the gradient", examples.to_vec());
            return Err(TrainError::NotFinite { what, step: step + 1, examples });
        }
        let learning_rate = learning_rate(self.config, step, self.steps);
        let State { parameters, optimizer, average, .. } = &mut self.state;
        optimizer.update(parameters, self.frozen, &gradients, learning_rate, self.config);
        if let (Some(average), Some(decay)) = (average, self.config.ema_decay) {
            ema::update(average, parameters, decay, optimizer.step);
        }
        self.unsaved = true;
        Ok(Update { learning_rate, gradient_norm })
    }

    pub(super) fn record(&mut self, line: &L) -> Result<(), TrainError> {
        self.metrics.append(line)
    }

    /// Writes a checkpoint at the end of the run, and where enough steps were taken since the last one.
    pub(super) fn save_if_due(&mut self) -> Result<(), TrainError> {
        let many = self.step() - self.saved_at >= self.config.checkpoint_interval_steps;
        if self.unsaved && (self.is_through() || many) {
            self.save()?;
        }
        Ok(())
    }

    /// Writes a checkpoint where there is none of this step.
    pub(super) fn stop(mut self) -> Result<Outcome, TrainError> {
        if self.unsaved {
            self.save()?;
        }
        Ok(Outcome::Stopped { step: self.step() })
    }

    /// `seen` is what its steps were made of.
    pub(super) fn finish(self, seen: BTreeSet<usize>) -> Result<Outcome, TrainError> {
        let (steps, loss, learned) = (self.step(), self.metrics.last_loss(), self.metrics.learned());
        let (state, stopped_early) = (&self.state, steps < self.steps);
        let load_best = state.best.is_some();
        let validation =
            state.watch.as_ref().and_then(|watch| watch.summary(load_best, steps, stopped_early)).map(Box::new);
        let adapter = match &state.best {
            Some(best) => state.parameters.with(best).to_adapter()?,
            None => state.outcome().to_adapter()?,
        };
        let run = self.checkpoints.names.run;
        let optimizer = match self.state.ends_with_its_last_step() {
            true => Some(Box::new(self.state.optimizer.into_state(&self.state.parameters, adapter.fingerprint()?))),
            false => None,
        };
        Ok(Outcome::Trained(Trained { adapter, optimizer, steps, loss, learned, seen, validation, run }))
    }

    fn save(&mut self) -> Result<(), TrainError> {
        // First, so that a run which goes on from the checkpoint finds the lines of all steps before it.
        self.metrics.sync()?;
        self.checkpoints.save(&self.state)?;
        self.saved_at = self.step();
        self.unsaved = false;
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

/// The state before the first step: the parent, or a fresh adapter, and what AdamW begins with.
pub(super) fn start_of(
    model: &Model,
    parent: Option<Adapter>,
    before: Option<&OptimizerState>,
    config: &TrainConfig,
) -> Result<State, TrainError> {
    let adapter = match parent {
        Some(parent) => {
            check_shape(parent.config(), &config.lora)?;
            parent
        }
        None => Adapter::init(&config.lora, model, config.seed)?,
    };
    adapter.check_fits(&model.config)?;
    let parameters = Parameters::from_adapter(&adapter)?;
    let optimizer = AdamW::going_on(&parameters, before)?;
    let average = config.ema_decay.map(|_| parameters.values());
    Ok(State { parameters, optimizer, drawn: 0, average, watch: None, best: None })
}

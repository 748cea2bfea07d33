use std::{path::Path, time::Instant};

use perennial_types::{Fingerprint, Fingerprinter};

use super::{
    Progress, StopFlag, TrainConfig, TrainError,
    batches::Batches,
    forward::targets_of,
    gradients::Batch,
    passes::Passes,
    run::{Run, Update, start_of},
    sft,
};
use crate::{adapter::Adapter, model::Model, tokenize::Encoded};

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It went through all its steps.
    Trained(Trained),
    /// It was asked to stop, and goes on from its checkpoint when it is started again.
    Stopped {
        /// Optimiser steps that are through.
        step: u64,
    },
}

/// The result of a run.
#[derive(Debug)]
pub struct Trained {
    /// The adapter.
    pub adapter: Adapter,
    /// Optimiser steps of the run.
    pub steps: u64,
    /// The loss of the last step, in nats per target; unknown where a run had ended before and its metrics are lost.
    pub loss: Option<f64>,
    /// Whether any step had something to learn from: a gradient and a rate that were not 0 and, where it learned from rewards,
    /// completions that the rewards told apart. Without it the adapter is worth no more than before.
    pub learned: bool,
    /// The run that made it.
    pub run: Fingerprint,
}

/// Trains an adapter, from `parent` or afresh, on the examples. Checkpoints and metrics go to `checkpoint_dir`, and a run
/// that was interrupted goes on from there and ends with the same bytes. `on_step` hears of every optimiser step.
///
/// # Errors
/// [`TrainError`], notably where the loss is no longer finite, or where the folder holds a checkpoint of another run.
pub fn train(
    model: &Model,
    parent: Option<Adapter>,
    examples: Vec<Encoded>,
    config: &TrainConfig,
    checkpoint_dir: &Path,
    stop: &StopFlag,
    on_step: &mut dyn FnMut(&Progress),
) -> Result<Outcome, TrainError> {
    config.check()?;
    check_examples(&examples)?;
    let name = run_fingerprint(model, parent.as_ref(), &examples, config)?;
    let mut batches = Batches::new(config, examples.len());
    let steps = batches.steps();
    let mut run = Run::open(start_of(model, parent, config)?, name, steps, config, checkpoint_dir)?;

    let mut passes = Passes::new(model, config)?;
    while !run.is_through() {
        let (step, started) = (run.step(), Instant::now());
        let names = batches.batch(step).to_vec();
        let examples: Vec<&Encoded> = names.iter().map(|name| &examples[*name]).collect();
        let batch = Batch {
            examples: &examples,
            activations: &[],
            names: &names,
            temperature: 1.0,
            tokens_per_micro_batch: config.tokens_per_micro_batch,
            step: step + 1,
        };
        let mut objective = sft::Objective::over(&examples)?;
        let Some(result) = batch.run(&mut passes, &run.state.parameters, &mut objective, stop)? else {
            return run.stop();
        };
        let Update { learning_rate, gradient_norm } = run.update(result.gradients, &names)?;

        let seconds = started.elapsed().as_secs_f64();
        let progress = Progress {
            step: step + 1,
            steps,
            epoch: batches.epochs_after(step + 1),
            loss: result.loss,
            learning_rate,
            gradient_norm,
            tokens: result.tokens as u64,
            supervised_tokens: result.supervised_tokens as u64,
            seconds,
            tokens_per_second: result.tokens as f64 / seconds,
        };
        run.record(&progress)?;
        on_step(&progress);
        run.save_if_due()?;
    }
    run.finish()
}

/// Names everything that a run's result depends on: model, parent, examples and configuration, but not how often it
/// writes checkpoints.
///
/// # Errors
/// [`TrainError::Adapter`]
pub fn run_fingerprint(
    model: &Model,
    parent: Option<&Adapter>,
    examples: &[Encoded],
    config: &TrainConfig,
) -> Result<Fingerprint, TrainError> {
    let relevant = config.determining();
    let mut fingerprinter = Fingerprinter::new().part(model.fingerprint.as_bytes());
    fingerprinter.add(&serde_json::to_vec(&relevant).map_err(|error| TrainError::Checkpoint(error.to_string()))?);
    match parent {
        Some(parent) => fingerprinter.add(parent.fingerprint()?.as_bytes()),
        None => fingerprinter.add(b""),
    }
    for example in examples {
        let tokens: Vec<u8> = example.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let supervised: Vec<u8> = example.supervised.iter().map(|supervised| u8::from(*supervised)).collect();
        fingerprinter.add(&tokens);
        fingerprinter.add(&supervised);
    }
    Ok(fingerprinter.finish())
}

fn check_examples(examples: &[Encoded]) -> Result<(), TrainError> {
    if examples.is_empty() {
        return Err(TrainError::NoExamples);
    }
    match examples.iter().position(|example| targets_of(example).next().is_none()) {
        Some(example) => Err(TrainError::NothingSupervised { example }),
        None => Ok(()),
    }
}

use std::{path::Path, time::Instant};

use perennial_types::{Fingerprint, Fingerprinter};

use super::{
    Environment, GrpoConfig, GrpoProgress, GrpoPrompt,
    generation::{Generation, Generator},
    step::Step,
};
use crate::{
    adapter::Adapter,
    model::Model,
    rollout::ActivationMemory,
    train::{
        Outcome, StopFlag, TrainConfig, TrainError,
        metrics::Line,
        passes::Passes,
        run::{Run, Update, start_of},
    },
};

impl Line for GrpoProgress {
    fn step(&self) -> u64 {
        self.step
    }

    fn loss(&self) -> f64 {
        self.loss
    }

    fn learned(&self) -> bool {
        self.learning_rate > 0.0 && self.gradient_norm > 0.0 && self.rollouts.told_apart > 0
    }
}

/// Trains an adapter, from `parent` or afresh, on the rewards that `environment` gives to answers to the prompts. Where the
/// divergence is measured, it is that from `reference`, or from the base model without one.
///
/// Checkpoints and metrics go to `checkpoint_dir`. Checkpoints are written between generations alone: a run that is stopped
/// or killed within one draws it again, and ends with the same bytes wherever the environment repeats itself. `on_step`
/// hears of every optimiser step.
///
/// # Errors
/// [`TrainError`], notably where the environment fails or breaks its contract, where the loss is no longer finite, or where
/// the folder holds a checkpoint of another run.
#[expect(clippy::too_many_arguments, reason = "all of them are what a run is made of")]
pub fn train_grpo(
    model: &Model,
    parent: Option<Adapter>,
    reference: Option<&Adapter>,
    prompts: &[GrpoPrompt],
    config: &GrpoConfig,
    train: &TrainConfig,
    checkpoint_dir: &Path,
    stop: &StopFlag,
    environment: &mut dyn Environment,
    on_step: &mut dyn FnMut(&GrpoProgress),
) -> Result<Outcome, TrainError> {
    let train = &config.over(train);
    config.check()?;
    train.check()?;
    check_prompts(model, prompts)?;
    if let Some(reference) = reference {
        reference.check_fits(&model.config)?;
    }
    let name = fingerprint_of(model, parent.as_ref(), reference, prompts, config, train, environment)?;
    let steps = config.steps(prompts.len());
    let mut run = Run::<GrpoProgress>::open(start_of(model, parent, train)?, name, steps, train, checkpoint_dir)?;
    let mut passes = Passes::new(model, train)?;
    let recalls = passes.recall() && config.updates_per_generation() == 1;
    let activation_memory = ActivationMemory::bounded(if recalls { config.rollout_activation_bytes_max } else { 0 });
    let generator = Generator { model, prompts, reference, config, train, stop, activation_memory };
    while !run.is_through() {
        let (started, border) = (Instant::now(), run.state.clone());
        let adapter = run.state.parameters.to_adapter()?;
        let Some(generation) = generator.run(&mut passes, environment, &adapter, run.step(), run.state.drawn)? else {
            return run.stop();
        };
        run.state.drawn = generation.drawn;
        let mut rollout_seconds = started.elapsed().as_secs_f64();

        for update in 0..config.updates_per_generation() {
            if run.is_through() {
                break;
            }
            let (step, started) = (run.step() + 1, Instant::now());
            let Generation { samples, stats, tokens, .. } = &generation;
            let chosen = generation.chosen(update, config);
            let computed = Step {
                samples,
                chosen,
                generation_tokens: *tokens,
                config,
                tokens_per_micro_batch: train.tokens_per_micro_batch,
                step,
            };
            let Some((result, policy)) = computed.run(&mut passes, &run.state.parameters, stop)? else {
                run.state = border;
                return run.stop();
            };
            let Update { learning_rate, gradient_norm } = run.update(result.gradients, chosen)?;
            let progress = GrpoProgress {
                step,
                steps,
                generation: (step - 1) / config.updates_per_generation() + 1,
                epoch: generation.drawn as f64 / prompts.len() as f64,
                loss: result.loss,
                learning_rate,
                gradient_norm,
                policy,
                rollouts: stats.clone(),
                tokens: result.tokens as u64,
                supervised_tokens: result.supervised_tokens as u64,
                seconds: started.elapsed().as_secs_f64(),
                rollout_seconds: std::mem::take(&mut rollout_seconds),
            };
            run.record(&progress)?;
            on_step(&progress);
        }
        run.save_if_due()?;
    }
    run.finish()
}

fn check_prompts(model: &Model, prompts: &[GrpoPrompt]) -> Result<(), TrainError> {
    if prompts.is_empty() {
        return Err(TrainError::NoPrompts);
    }
    let tokens_max = model.config.positions_max - 1;
    match prompts.iter().position(|prompt| !(1..=tokens_max).contains(&prompt.tokens.len())) {
        Some(prompt) => Err(TrainError::PromptLength { prompt, tokens: prompts[prompt].tokens.len(), tokens_max }),
        None => Ok(()),
    }
}

/// Names everything that a run's result depends on.
fn fingerprint_of(
    model: &Model,
    parent: Option<&Adapter>,
    reference: Option<&Adapter>,
    prompts: &[GrpoPrompt],
    config: &GrpoConfig,
    train: &TrainConfig,
    environment: &dyn Environment,
) -> Result<Fingerprint, TrainError> {
    let json = |error: serde_json::Error| TrainError::Checkpoint(error.to_string());
    let relevant = train.determining();
    let mut fingerprinter = Fingerprinter::new().part(b"grpo").part(model.fingerprint.as_bytes());
    fingerprinter.add(&serde_json::to_vec(config).map_err(json)?);
    fingerprinter.add(&serde_json::to_vec(&relevant).map_err(json)?);
    fingerprinter.add(environment.fingerprint().as_bytes());
    for adapter in [parent, reference] {
        match adapter {
            Some(adapter) => fingerprinter.add(adapter.fingerprint()?.as_bytes()),
            None => fingerprinter.add(b""),
        }
    }
    for prompt in prompts {
        let tokens: Vec<u8> = prompt.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        fingerprinter.add(&tokens);
    }
    Ok(fingerprinter.finish())
}

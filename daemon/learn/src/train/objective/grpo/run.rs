use std::{collections::BTreeSet, path::Path};

use perennial_types::Fingerprint;

use super::{
    Environment, GrpoConfig, GrpoProgress, GrpoPrompt, NAME, earlier,
    generation::{Generation, Generator},
    prompts::PromptOrder,
    step::PolicyLoss,
};
use crate::{
    adapter::Adapter,
    model::Model,
    rollout::ActivationMemory,
    train::{
        Outcome, Past, StopFlag, TrainConfig, TrainError,
        canonical::{Canonical, Names},
        checkpoint::Checkpoints,
        lesson::{Lesson, Objective, Round, Taken},
        metrics::Line,
        passes::Passes,
        state::State,
        trainer::{self, Begin},
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

/// A run over prompts. A round is a generation.
struct Grpo<'a> {
    generator: Generator<'a>,
    environment: &'a mut dyn Environment,
    /// What the steps at hand learn from.
    generation: Generation,
}

impl Objective for Grpo<'_> {
    type Line = GrpoProgress;
    type Loss<'s>
        = PolicyLoss<'s>
    where
        Self: 's;

    fn steps(&self) -> u64 {
        self.generator.config.steps(self.generator.prompts.len())
    }

    fn prepare(&mut self, passes: &mut Passes<'_>, _: &Checkpoints<'_>, _: &StopFlag) -> Result<bool, TrainError> {
        let config = self.generator.config;
        let recalls = passes.recall() && config.updates_per_generation() == 1;
        let bytes_max = if recalls { config.rollout_activation_bytes_max } else { 0 };
        self.generator.activation_memory = ActivationMemory::bounded(bytes_max);
        Ok(true)
    }

    fn round(&mut self, passes: &mut Passes<'_>, state: &State, _: &StopFlag) -> Result<Option<Round>, TrainError> {
        let (adapter, step) = (state.parameters.to_adapter()?, state.optimizer.step);
        let Some(generation) = self.generator.run(passes, self.environment, &adapter, step, state.drawn)? else {
            return Ok(None);
        };
        self.generation = generation;
        let steps = self.generator.config.updates_per_generation();
        Ok(Some(Round { steps, drawn: self.generation.drawn }))
    }

    fn step(&self, update: u64) -> (Lesson<'_>, PolicyLoss<'_>) {
        let (Generation { samples, tokens, .. }, config) = (&self.generation, self.generator.config);
        let loss = PolicyLoss::new(samples, self.generation.chosen(update, config), *tokens, config);
        (Lesson { units: loss.units(), teachers: Vec::new(), temperature: config.temperature }, loss)
    }

    fn seen(&self, state: &State) -> BTreeSet<usize> {
        let prompts = self.generator.prompts.len();
        let places = usize::try_from(state.drawn).unwrap_or(usize::MAX).min(prompts);
        PromptOrder::new(prompts, self.generator.train.seed).draw(0, places).into_iter().collect()
    }

    fn line(&self, taken: Taken, loss: PolicyLoss<'_>) -> GrpoProgress {
        let (config, generation) = (self.generator.config, &self.generation);
        GrpoProgress {
            step: taken.step,
            steps: taken.steps,
            generation: (taken.step - 1) / config.updates_per_generation() + 1,
            epoch: generation.drawn as f64 / self.generator.prompts.len() as f64,
            loss: taken.loss,
            learning_rate: taken.update.learning_rate,
            gradient_norm: taken.update.gradient_norm,
            policy: loss.stats(),
            rollouts: generation.stats.clone(),
            tokens: taken.tokens,
            supervised_tokens: taken.supervised_tokens,
            seconds: taken.seconds,
            rollout_seconds: taken.round_seconds,
            penalties: taken.penalties,
        }
    }
}

/// Trains an adapter, from `parent` or afresh, on the rewards that `environment` gives to answers to the prompts. Where the
/// divergence is measured, it is that from `reference`, or from the base model without one. Penalties hold it to `past`.
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
    past: Past<'_>,
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
    let adapters = [parent.as_ref(), reference];
    let rewards = environment.fingerprint();
    let names = Names {
        run: name_of(model, adapters, past, prompts, config, train, rewards)?,
        before: Some(earlier::name(model, adapters, prompts, config, train, rewards)?),
    };
    let activation_memory = ActivationMemory::bounded(0);
    let generator = Generator { model, prompts, reference, config, train, stop, activation_memory };
    let mut objective = Grpo { generator, environment, generation: Generation::default() };
    let on_validation = &mut |_: &_| ();
    let begin = Begin { model, parent, past, names, config: train, checkpoint_dir, stop, on_validation };
    trainer::run(begin, &mut objective, on_step)
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

fn name_of(
    model: &Model,
    [parent, reference]: [Option<&Adapter>; 2],
    past: Past<'_>,
    prompts: &[GrpoPrompt],
    config: &GrpoConfig,
    train: &TrainConfig,
    rewards: Fingerprint,
) -> Result<Fingerprint, TrainError> {
    let mut canonical = Canonical::new(NAME);
    canonical.bytes("model", model.fingerprint.as_bytes());
    canonical.train(train);
    config.write(&mut canonical);
    canonical.bytes("rewards", rewards.as_bytes());
    canonical.adapter("parent", parent)?;
    canonical.adapter("reference", reference)?;
    canonical.past(past, train)?;
    for prompt in prompts {
        canonical.tokens("prompt", &prompt.tokens);
    }
    Ok(canonical.fingerprint())
}

use super::{
    super::gradients::{Batch, BatchResult, LossAndGradients, Objective, Targets},
    GrpoConfig, GrpoSample, PolicyStats,
    correction::{difference, sampling_weights},
    objective::{Divisor, Tokens, sequence_loss},
};
use crate::{
    adapter::Adapter,
    model::Model,
    rollout::RolloutActivations,
    tokenize::Encoded,
    train::{StopFlag, TrainDevice, TrainError, parameters::Parameters, passes::Passes},
};

/// Loss and gradients of one step on a device over the samples, which are the whole generation, and what is measured along
/// the way: exactly what a step of [`train_grpo`](super::train_grpo) computes before clipping. Samples that nothing is learned from
/// have no log-probabilities in the result.
///
/// # Errors
/// [`TrainError`]
pub fn grpo_loss_and_gradients(
    model: &Model,
    adapter: &Adapter,
    samples: &[GrpoSample],
    config: &GrpoConfig,
    tokens_per_micro_batch: usize,
    device: TrainDevice,
) -> Result<(LossAndGradients, PolicyStats), TrainError> {
    config.check()?;
    let parameters = Parameters::from_adapter(adapter)?;
    let generation_tokens = samples.iter().map(|sample| sample.tokens(config)).sum();
    let chosen: Vec<usize> = (0..samples.len()).collect();
    let step = Step { samples, chosen: &chosen, generation_tokens, config, tokens_per_micro_batch, step: 1 };
    let (never, mut passes) = (StopFlag::new(), Passes::on(device, model)?);
    let (result, stats) = step.run(&mut passes, &parameters, &never)?.ok_or(TrainError::NoExamples)?;
    Ok((result.named(&parameters)?, stats))
}

/// One optimiser step.
pub(super) struct Step<'a> {
    /// The samples of the generation.
    pub(super) samples: &'a [GrpoSample],
    /// Those of this step.
    pub(super) chosen: &'a [usize],
    /// Tokens of the generation that count in the loss.
    pub(super) generation_tokens: usize,
    pub(super) config: &'a GrpoConfig,
    pub(super) tokens_per_micro_batch: usize,
    /// From 1, for error messages.
    pub(super) step: u64,
}

impl Step<'_> {
    /// `None` where the flag was raised before it was complete. The log-probabilities of the result are those of the
    /// chosen samples.
    pub(super) fn run(
        &self,
        passes: &mut Passes<'_>,
        parameters: &Parameters,
        stop: &StopFlag,
    ) -> Result<Option<(BatchResult, PolicyStats)>, TrainError> {
        let step_tokens = self.chosen.iter().map(|at| self.samples[*at].tokens(self.config)).sum();
        let (generation_tokens, completions) = (self.generation_tokens, self.chosen.len());
        let learned = |at: &usize| self.samples[*at].is_learned_from(self.config);
        let names: Vec<usize> = self.chosen.iter().copied().filter(learned).collect();
        let mut objective = PolicyObjective {
            samples: names.iter().map(|at| &self.samples[*at]).collect(),
            divisor: Divisor { completions, step_tokens, generation_tokens },
            config: self.config,
            sums: Sums::default(),
        };
        let examples: Vec<&Encoded> = objective.samples.iter().map(|sample| &sample.example).collect();
        let activations: Vec<Option<&RolloutActivations>> =
            objective.samples.iter().map(|sample| sample.recalled()).collect();
        let batch = Batch {
            examples: &examples,
            activations: &activations,
            names: &names,
            temperature: self.config.temperature,
            tokens_per_micro_batch: self.tokens_per_micro_batch,
            step: self.step,
        };
        let result = batch.run(passes, parameters, &mut objective, stop)?;
        let stats = objective.sums.stats(self.config);
        Ok(result.map(|result| (result, stats)))
    }
}

/// The loss of a step's samples, and what is measured along the way.
struct PolicyObjective<'a> {
    samples: Vec<&'a GrpoSample>,
    divisor: Divisor,
    config: &'a GrpoConfig,
    sums: Sums,
}

impl Objective for PolicyObjective<'_> {
    fn add(&mut self, at: usize, targets: &Targets<'_>, slopes: &mut Vec<f32>) -> f64 {
        let sample = self.samples[at];
        let old = sample.old_logprobs.as_deref().unwrap_or(targets.logprobs);
        let weights = sampling_weights(old, &sample.rollout_logprobs, self.config);
        let tokens = Tokens {
            logprobs: targets.logprobs,
            old,
            reference: sample.reference_logprobs.as_deref(),
            weights: &weights,
            advantage: sample.advantage,
        };
        let loss = sequence_loss(&tokens, self.config);
        let divisor = self.divisor.of(targets.logprobs.len(), self.config);
        slopes.extend(loss.slopes.iter().map(|slope| (slope / divisor) as f32));

        self.sums.tokens += targets.logprobs.len();
        self.sums.kl += loss.kl;
        self.sums.entropy += targets.entropies.iter().map(|entropy| f64::from(*entropy)).sum::<f64>();
        self.sums.clipped = [self.sums.clipped[0] + loss.clipped[0], self.sums.clipped[1] + loss.clipped[1]];
        self.sums.compare(old, &sample.rollout_logprobs);
        loss.value / divisor
    }
}

/// Sums over the tokens of a step.
#[derive(Default)]
struct Sums {
    tokens: usize,
    kl: f64,
    entropy: f64,
    clipped: [usize; 2],
    /// Tokens whose log-probability the rollout engine could say.
    compared: usize,
    difference: f64,
    difference_max: f64,
    ratio: f64,
    ratio_max: f64,
}

impl Sums {
    fn compare(&mut self, training: &[f32], engine: &[f32]) {
        for (training, engine) in training.iter().zip(engine).filter(|(_, engine)| !engine.is_nan()) {
            let difference = difference(*training, *engine);
            self.compared += 1;
            self.difference += difference.abs();
            self.difference_max = self.difference_max.max(difference.abs());
            self.ratio += difference.exp();
            self.ratio_max = self.ratio_max.max(difference.exp());
        }
    }

    fn stats(&self, config: &GrpoConfig) -> PolicyStats {
        let per_token = |sum: f64| (self.tokens > 0).then(|| sum / self.tokens as f64);
        let compared = |value: f64| (self.compared > 0).then_some(value);
        let [low, high] = self.clipped;
        PolicyStats {
            kl: per_token(self.kl).filter(|_| config.needs_reference()),
            entropy: per_token(self.entropy),
            clip_ratio_low: per_token(low as f64),
            clip_ratio_high: per_token(high as f64),
            clip_ratio_region: per_token((low + high) as f64),
            sampling_logp_difference_mean: compared(self.difference / self.compared.max(1) as f64),
            sampling_logp_difference_max: compared(self.difference_max),
            sampling_ratio_mean: compared(self.ratio / self.compared.max(1) as f64),
            sampling_ratio_max: compared(self.ratio_max),
        }
    }
}

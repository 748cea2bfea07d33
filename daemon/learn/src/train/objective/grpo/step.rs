use super::{
    GrpoConfig, GrpoSample, PolicyStats,
    loss_types::Step,
    objective::{Tokens, sequence_loss},
    sampling_weights::{difference, sampling_weights},
};
use crate::{
    adapter::Adapter,
    model::Model,
    train::{
        StopFlag, TrainDevice, TrainError,
        gradients::{Batch, Loss, LossAndGradients, Targets, Unit},
        parameters::Parameters,
        passes::Passes,
    },
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
    let mut loss = PolicyLoss::new(samples, &chosen, generation_tokens, config);
    let batch =
        Batch { units: &loss.units(), temperature: config.temperature, teachers: &[], tokens_per_micro_batch, step: 1 };
    let (never, mut passes) = (StopFlag::new(), Passes::on(device, model)?);
    let result = batch.run(&mut passes, &parameters, &mut loss, &never)?.ok_or(TrainError::NoExamples)?;
    Ok((result.named(&parameters)?, loss.stats()))
}

/// The loss of a step's samples, and what is measured along the way. Each sample is a unit: an advantage already says how it
/// compares with its group.
pub(super) struct PolicyLoss<'s> {
    /// Those that are learned from, each with its place in the generation.
    samples: Vec<(usize, &'s GrpoSample)>,
    step: Step,
    config: &'s GrpoConfig,
    sums: Sums,
}

impl<'s> PolicyLoss<'s> {
    /// Of the `chosen` samples of a generation that has so many tokens that count in the loss.
    pub(super) fn new(
        samples: &'s [GrpoSample],
        chosen: &[usize],
        generation_tokens: usize,
        config: &'s GrpoConfig,
    ) -> Self {
        let step_tokens = chosen.iter().map(|at| samples[*at].tokens(config)).sum();
        let learned = chosen.iter().map(|at| (*at, &samples[*at])).filter(|(_, sample)| sample.is_learned_from(config));
        let step = Step {
            completions: chosen.len(),
            step_tokens,
            generation_tokens,
            steps_per_generation: config.steps_per_generation,
            max_completion_length: config.max_completion_length,
        };
        Self { samples: learned.collect(), step, config, sums: Sums::default() }
    }

    pub(super) fn units(&self) -> Vec<Unit<'s>> {
        let unit = |(name, sample): &(usize, &'s GrpoSample)| {
            let sample: &'s GrpoSample = sample;
            Unit { sequences: vec![&sample.example], activations: sample.recalled(), name: *name }
        };
        self.samples.iter().map(unit).collect()
    }

    pub(super) fn stats(&self) -> PolicyStats {
        self.sums.stats(self.config)
    }
}

impl Loss for PolicyLoss<'_> {
    fn add(&mut self, at: usize, sequences: &[Targets<'_>], slopes: &mut Vec<f32>) -> f64 {
        let (_, sample) = self.samples[at];
        sequences.iter().map(|targets| self.add_sample(sample, targets, slopes)).sum()
    }
}

impl PolicyLoss<'_> {
    fn add_sample(&mut self, sample: &GrpoSample, targets: &Targets<'_>, slopes: &mut Vec<f32>) -> f64 {
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
        let divisor = self.config.loss_type.way().divisor(&self.step, targets.logprobs.len());
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

//! Advantages, loss and adapter gradients against TRL's GRPOTrainer (see tests/goldens/README.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use common::{
    flat, goldens,
    isa::under_every_isa,
    measures::{error, gradient_error},
    scale_b, tiny,
};
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    train::{
        TrainDevice,
        grpo::{
            Completion, GrpoConfig, GrpoSample, PolicyStats, advantages, completion_logprobs, grpo_loss_and_gradients,
        },
    },
};
use serde::Deserialize;

/// What the design allows.
const RELATIVE_ERROR_MAX: f64 = 1e-4;
/// Completions per prompt.
const GENERATIONS: usize = 4;
const NEW_TOKENS_MAX: usize = 14;

#[derive(Deserialize)]
struct Golden {
    b_factors: Factors,
    /// The names of the adapter's matrices, in the order of the measures of their gradients.
    tensors: Vec<String>,
    rollouts: Vec<Rollout>,
    rewards: Vec<Option<f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Factors {
    current: f32,
    old: f32,
    reference: f32,
}

#[derive(Deserialize)]
struct Rollout {
    prompt: Vec<u32>,
    completion: Vec<u32>,
    truncated: bool,
    logprobs: Vec<Option<f32>>,
}

#[derive(Deserialize)]
struct Case {
    config: serde_json::Map<String, serde_json::Value>,
    loss: f64,
    advantages: Vec<f64>,
    entropy: f64,
    kl: Option<f64>,
    clip_ratio: Option<f64>,
    norms: Vec<f64>,
    dots: Vec<f64>,
}

/// The adapters that a case speaks of.
struct Policies {
    current: Adapter,
    old: Adapter,
    reference: Adapter,
}

impl Case {
    fn config(&self) -> GrpoConfig {
        let mut config = self.config.clone();
        for ours in ["on_policy", "reference"] {
            config.remove(ours);
        }
        config.insert("num_generations".to_owned(), GENERATIONS.into());
        config.insert("max_completion_length".to_owned(), NEW_TOKENS_MAX.into());
        serde_json::from_value(config.into()).unwrap()
    }

    /// The completions with all that the loss needs, from what our own side makes of rewards and policies.
    fn samples(&self, golden: &Golden, model: &Model, policies: &Policies, device: TrainDevice) -> Vec<GrpoSample> {
        let config = self.config();
        let rewards: Vec<Vec<Option<f64>>> = golden.rewards.chunks(GENERATIONS).map(<[_]>::to_vec).collect();
        let advantages = advantages(&rewards, config.estimator, config.scale_rewards);
        let advantages = advantages.into_iter().flat_map(|group| group.values);
        let mut samples: Vec<GrpoSample> =
            golden.rollouts.iter().zip(advantages).map(|(rollout, advantage)| rollout.sample(advantage)).collect();
        let logprobs = |adapter| completion_logprobs(model, adapter, &samples, config.temperature, 64, device).unwrap();
        let old = (!self.config.contains_key("on_policy")).then(|| logprobs(Some(&policies.old)));
        let to_base = self.config.contains_key("reference");
        let reference = (config.beta > 0.0).then(|| logprobs((!to_base).then_some(&policies.reference)));
        for (at, sample) in samples.iter_mut().enumerate() {
            sample.old_logprobs = old.as_ref().map(|old| old[at].clone());
            sample.reference_logprobs = reference.as_ref().map(|reference| reference[at].clone());
        }
        samples
    }
}

impl Rollout {
    fn sample(&self, advantage: f64) -> GrpoSample {
        let logprobs = self.logprobs.iter().map(|logprob| logprob.unwrap_or(f32::NAN)).collect();
        let completion =
            Completion { tokens: self.completion.clone(), logprobs, truncated: self.truncated, activations: None };
        GrpoSample::new(&self.prompt, completion, advantage)
    }
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(goldens().join("grpo_tiny.json")).unwrap()).unwrap()
}

/// What is left of the cases where only the passes are in question: a loss is plain arithmetic, the same on every processor.
const FEW: usize = 9;

#[test]
fn loss_and_gradients_agree_with_trl() {
    check_cases(TrainDevice::Cpu, 1);
}

#[test]
fn loss_and_gradients_agree_with_trl_under_every_isa() {
    under_every_isa("loss_and_gradients_agree_with_trl_under_every_isa", || check_cases(TrainDevice::Cpu, FEW));
}

#[test]
fn loss_and_gradients_agree_with_trl_where_they_are_composed() {
    check_cases(TrainDevice::CpuComposed, FEW);
}

/// Checks the first of every so many cases.
fn check_cases(device: TrainDevice, of: usize) {
    let (golden, model) = (golden(), tiny());
    let plain = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
    let policies = Policies {
        current: scale_b(&plain, golden.b_factors.current),
        old: scale_b(&plain, golden.b_factors.old),
        reference: scale_b(&plain, golden.b_factors.reference),
    };
    let mut worst = [0.0_f64; 4];
    for case in golden.cases.iter().step_by(of) {
        let samples = case.samples(&golden, &model, &policies, device);
        for (sample, expected) in samples.iter().zip(&case.advantages) {
            worst[0] = worst[0].max((sample.advantage - expected).abs());
        }
        let config = case.config();
        let (got, stats) = grpo_loss_and_gradients(&model, &policies.current, &samples, &config, 64, device).unwrap();
        let of_gradients = gradient_error(&got.gradients, &golden.tensors, (&case.norms, &case.dots));
        let errors = [error(got.loss, case.loss), of_gradients, stats_error(case, &stats)];
        println!("{:?}: loss, gradients, statistics off by {errors:?}", case.config);
        for (worst, error) in worst[1..].iter_mut().zip(errors) {
            *worst = worst.max(error);
        }
    }
    println!("worst: advantages, loss, gradients, statistics off by {worst:?}");
    assert!(worst.iter().all(|worst| *worst < RELATIVE_ERROR_MAX), "{worst:?}");
}

/// Where there is a reference, our statistics are over the same tokens as TRL's.
fn stats_error(case: &Case, stats: &PolicyStats) -> f64 {
    let Some(kl) = case.kl else { return 0.0 };
    let mut greatest = error(stats.kl.unwrap(), kl).max(error(stats.entropy.unwrap(), case.entropy));
    if let Some(expected) = case.clip_ratio.filter(|_| !case.config.values().any(|value| value == "sequence")) {
        greatest = greatest.max((stats.clip_ratio_region.unwrap() - expected).abs());
    }
    greatest
}

#[test]
fn packing_changes_nothing() {
    let (golden, model) = (golden(), tiny());
    let adapter = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
    let samples: Vec<GrpoSample> = golden
        .rollouts
        .iter()
        .zip([1.0, -0.5, 0.25].iter().cycle())
        .map(|(rollout, advantage)| rollout.sample(*advantage))
        .collect();
    let config = GrpoConfig::default();
    let loss = |tokens: usize| {
        grpo_loss_and_gradients(&model, &adapter, &samples, &config, tokens, TrainDevice::Cpu).unwrap().0
    };
    let (apart, together) = (loss(1), loss(4096));
    assert!(error(apart.loss, together.loss) < 1e-6);
    for (one, other) in apart.gradients.values().zip(together.gradients.values()) {
        let close = flat(one).iter().zip(flat(other)).all(|(one, other)| (one - other).abs() < 1e-6);
        assert!(close);
    }
}

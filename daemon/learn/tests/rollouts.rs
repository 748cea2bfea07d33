//! The log-probabilities of rollouts against those of a training step over the same tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::path::Path;

use common::{goldens, hash_uniform, number, smollm2};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    compute::Precision,
    model::Model,
    rollout::{RolloutOptions, rollouts},
    tokenize::Encoded,
    train::{StopFlag, TrainDevice, loss_and_gradients},
};

/// What the design allows.
const ERROR_MAX: f32 = 1e-3;

#[test]
fn the_tiny_model_agrees_with_its_training() {
    check(&goldens().join("tiny"), 48);
}

#[test]
#[ignore = "long, and needs SmolLM2: cargo xtask test --long"]
fn smollm2_agrees_with_its_training() {
    let path = smollm2();
    check(&path, 12);
}

fn check(path: &Path, max_completion_tokens: usize) {
    let model = Model::load(path, Precision::F32).unwrap();
    let fresh = Adapter::init(&LoraConfig { r: 4, ..LoraConfig::default() }, &model.config, 0).unwrap();
    let adapter = common::changed(&fresh, |name, i, _| hash_uniform(number(name), i) * 0.03125);
    let texts = [
        "Q: 2 + 3?\nA:",
        "The colour of the sky is",
        "Once upon a time, in a country far away, there lived a king who",
    ];
    let prompts: Vec<Vec<u32>> = texts.iter().map(|text| model.tokenizer.encode(text).unwrap()).collect();
    let options = RolloutOptions { num_generations: 3, max_completion_tokens, ..RolloutOptions::default() };
    let rollouts = rollouts(&model, Some(&adapter), &prompts, &options, &StopFlag::new(), &mut |_, _| {}).unwrap();

    let examples: Vec<Encoded> = rollouts
        .iter()
        .map(|rollout| {
            let prompt = &prompts[rollout.prompt];
            let tokens = [prompt.as_slice(), &rollout.tokens].concat();
            let supervised = (0..tokens.len()).map(|place| place >= prompt.len()).collect();
            Encoded { tokens, supervised }
        })
        .collect();
    let training = loss_and_gradients(&model, &adapter, &examples, 256, TrainDevice::Cpu).unwrap();
    for (rollout, training) in rollouts.iter().zip(training.logprobs) {
        assert_eq!(rollout.logprobs.len(), training.len());
        for (got, expected) in rollout.logprobs.iter().zip(training) {
            assert!((got - expected).abs() < ERROR_MAX, "log-probability {got}, in training {expected}");
        }
    }
}

//! The log-probabilities of rollouts against those of a training step over the same tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{goldens, hash_uniform, number};
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
fn smollm2_agrees_with_its_training() {
    let Some(path) = smollm2() else {
        println!("skipped: no SmolLM2 (set PERENNIAL_SMOLLM2 to a Hugging Face folder or a GGUF file)");
        return;
    };
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

fn smollm2() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PERENNIAL_SMOLLM2") {
        return Some(path.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("perennial/models/smollm2-135m-instruct")).filter(|path| path.exists())
}

//! Whole GRPO runs on the tiny model, with rewards made of token ids: learning, stopping, resuming, refusing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod environment;
mod refusals;

use std::fs;

use common::{metrics, tiny as model, weights};
use environment::{EVEN, Reward, Rewarded, config, environment, finish, prompts, run, train_config};
use perennial_learn::{
    adapter::Adapter,
    train::{
        Outcome, Past, StopFlag,
        grpo::{GrpoConfig, GrpoProgress, train_grpo},
    },
};

#[test]
fn the_reward_rises() {
    let dir = tempfile::tempdir().unwrap();
    let config = GrpoConfig {
        learning_rate: 3e-3,
        prompts_per_step: 4,
        num_generations: 8,
        steps_per_generation: 1,
        num_iterations: 1,
        steps_max: Some(30),
        epochs: 20.0,
        ..config()
    };
    let (_, steps) = finish(dir.path(), &config, EVEN);
    let rewards: Vec<f64> = steps.iter().map(|step| step.rollouts.reward_mean.unwrap()).collect();
    let mean = |rewards: &[f64]| rewards.iter().sum::<f64>() / rewards.len() as f64;
    let (before, after) = (mean(&rewards[..3]), mean(&rewards[27..]));
    println!("{before:.3} to {after:.3}: {rewards:.2?}");
    assert!(before < 0.65 && after > 0.9, "{before} to {after}");

    let first = &steps[0];
    // A fresh adapter is its reference, and the sampler's log-probabilities are the training pass's.
    assert!(first.policy.kl.unwrap().abs() < 1e-9);
    assert!(first.policy.sampling_logp_difference_max.unwrap() < 1e-3);
    assert_eq!(first.policy.clip_ratio_region, Some(0.0));
    assert_eq!((first.generation, first.rollouts.completions, first.rollouts.groups_drawn), (1, 32, 4));
    assert!(steps[29].policy.kl.unwrap() > 0.0);
    assert!(first.policy.entropy.unwrap() > steps[29].policy.entropy.unwrap());
}

#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let (model, prompts, config) = (model(), prompts(), config());
    let whole = tempfile::tempdir().unwrap();
    let expected = weights(&finish(whole.path(), &config, EVEN).0.adapter);

    // Asked to stop at the end of a generation, in the midst of one, and in the midst of rollouts: what is not through is
    // drawn again.
    let stopped = tempfile::tempdir().unwrap();
    for (at, left_at) in [(4, 4), (6, 4)] {
        let outcome =
            run(stopped.path(), &config, &mut environment(&model, &prompts, &config, EVEN), &mut |step, stop| {
                if step.step == at {
                    stop.raise();
                }
            });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == left_at), "{outcome:?}");
    }
    let mut in_rollouts = Rewarded { stop_in_call: Some(1), ..environment(&model, &prompts, &config, EVEN) };
    let outcome = run(stopped.path(), &config, &mut in_rollouts, &mut |_, _| ());
    assert!(matches!(outcome, Ok(Outcome::Stopped { step: 8 })), "{outcome:?}");
    assert_eq!(weights(&finish(stopped.path(), &config, EVEN).0.adapter), expected);

    // Killed at the end, and the newest checkpoint with it.
    fs::remove_file(stopped.path().join("step-00000012.safetensors")).unwrap();
    assert_eq!(weights(&finish(stopped.path(), &config, EVEN).0.adapter), expected);
    for dir in [&whole, &stopped] {
        let steps: Vec<u64> = metrics(dir.path()).iter().map(|step: &GrpoProgress| step.step).collect();
        assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn a_run_that_an_earlier_program_began_goes_on() {
    // What version 0.1.0 called this run before there was a canonical form.
    const NAME: &str = "40dab444adbae791e7309ea42f5545c0fc7d05e8a091741d2f7267eb858e7d6d";
    let dir = tempfile::tempdir().unwrap();
    let (trained, _) = finish(dir.path(), &config(), EVEN);
    common::rename_run(dir.path(), trained.run, NAME);
    fs::remove_file(dir.path().join("step-00000012.safetensors")).unwrap();
    assert_eq!(weights(&finish(dir.path(), &config(), EVEN).0.adapter), weights(&trained.adapter));
}

#[test]
fn a_run_learns_the_same_from_activations_that_it_keeps() {
    let once = GrpoConfig { steps_per_generation: 1, num_iterations: 1, steps_max: Some(6), ..config() };
    // Room for about half of a step's tokens.
    for rollout_activation_bytes_max in [1 << 30, 100_000] {
        let (whole, again, computed) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = GrpoConfig { rollout_activation_bytes_max, ..once.clone() };
        let (trained, steps) = finish(whole.path(), &config, EVEN);
        let computing = GrpoConfig { rollout_activation_bytes_max: 0, ..once.clone() };
        let (_, expected) = finish(computed.path(), &computing, EVEN);
        for (step, expected) in steps.iter().zip(&expected) {
            let off = (step.gradient_norm - expected.gradient_norm).abs() / expected.gradient_norm;
            assert!(off < 1e-3 && (step.loss - expected.loss).abs() < 1e-4, "{off} {step:?}");
            assert!(step.tokens > 0 && step.tokens == expected.tokens);
        }

        let (model, prompts) = (model(), prompts());
        let mut environment = environment(&model, &prompts, &config, EVEN);
        let outcome = run(again.path(), &config, &mut environment, &mut |step, stop| {
            if step.step == 3 {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step: 3 })), "{outcome:?}");
        assert_eq!(weights(&finish(again.path(), &config, EVEN).0.adapter), weights(&trained.adapter));
    }
}

#[test]
fn a_run_with_dynamic_sampling_goes_on_with_the_prompts_that_are_next() {
    // Half of the prompts teach nothing.
    let half: Reward = |prompt, completion| if prompt % 2 == 0 { Some(1.0) } else { EVEN(prompt, completion) };
    let config = GrpoConfig { dynamic_sampling_rounds_max: 5, ..config() };
    let whole = tempfile::tempdir().unwrap();
    let (trained, steps) = finish(whole.path(), &config, half);
    assert!(steps.iter().all(|step| step.rollouts.completions == 16));
    assert!(steps.iter().all(|step| step.supervised_tokens > 0));
    assert!(steps.iter().any(|step| step.rollouts.groups_drawn > 4 && step.rollouts.zero_variance_share > 0.0));

    let (model, prompts) = (model(), prompts());
    let stopped = tempfile::tempdir().unwrap();
    let outcome = run(stopped.path(), &config, &mut environment(&model, &prompts, &config, half), &mut |step, stop| {
        if step.step == 5 {
            stop.raise();
        }
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { step: 4 })));
    assert_eq!(weights(&finish(stopped.path(), &config, half).0.adapter), weights(&trained.adapter));
}

#[test]
fn rewards_without_variance_and_abstentions_change_nothing() {
    let constant: Reward = |_, _| Some(0.3);
    let silent: Reward = |_, _| None;
    for (reward, abstained) in [(constant, 0.0), (silent, 1.0)] {
        let dir = tempfile::tempdir().unwrap();
        let config = GrpoConfig { beta: 0.0, dynamic_sampling_rounds_max: 1, steps_max: Some(4), ..config() };
        let (trained, steps) = finish(dir.path(), &config, reward);
        let fresh = Adapter::init(&train_config().lora, &model().config, train_config().seed).unwrap();
        assert_eq!(weights(&trained.adapter), weights(&fresh));
        let rollouts = &steps[0].rollouts;
        // Every group was drawn again once, and then there was nothing better.
        assert_eq!((rollouts.zero_variance_share, rollouts.groups_drawn, rollouts.completions), (1.0, 8, 16));
        assert_eq!(rollouts.abstained_share, abstained);
        assert_eq!((steps[0].loss, steps[0].policy.entropy), (0.0, None));
        assert_eq!((trained.learned, rollouts.told_apart), (false, 0), "and it says so");
        // The reference pulls, but nothing was learned from the rewards.
        let pulled = GrpoConfig { beta: 0.1, ..config };
        assert!(!finish(tempfile::tempdir().unwrap().path(), &pulled, reward).0.learned);
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(finish(dir.path(), &GrpoConfig { steps_max: Some(4), ..config() }, EVEN).0.learned);
}

#[test]
fn threads_do_not_change_the_result() {
    let config = GrpoConfig { steps_max: Some(4), ..config() };
    let with = |threads: usize| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        weights(&pool.install(|| finish(dir.path(), &config, EVEN)).0.adapter)
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn a_run_goes_on_from_its_parent_and_is_held_to_its_reference() {
    let (model, prompts) = (model(), prompts());
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parent = finish(first.path(), &config(), EVEN).0.adapter;
    let config = GrpoConfig { steps_max: Some(1), beta: 0.0, measure_kl: true, ..config() };
    let mut steps = Vec::new();
    for reference in [None, Some(&parent)] {
        let mut environment = environment(&model, &prompts, &config, EVEN);
        let dir = second.path().join(steps.len().to_string());
        let (stop, on_step) = (StopFlag::new(), &mut |step: &GrpoProgress| steps.push(step.clone()));
        let (parent, train) = (Some(parent.clone()), &train_config());
        train_grpo(
            &model,
            parent,
            reference,
            Past::default(),
            &prompts,
            &config,
            train,
            &dir,
            &stop,
            &mut environment,
            on_step,
        )
        .unwrap();
    }
    let kl = |at: usize| steps[at].policy.kl.unwrap();
    assert!(kl(0) > 1e-4, "{}", kl(0));
    assert!(kl(1).abs() < 1e-9, "{}", kl(1));
}

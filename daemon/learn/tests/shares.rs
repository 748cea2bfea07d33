//! Shares of the loss on the tiny model: against what is composed of the groups one by one, and through whole runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{collections::BTreeMap, path::Path};

use common::{changed, hash_uniform, number, tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    tokenize::Encoded,
    train::{
        LossAndGradients, LossWeighting, Outcome, Past, Progress, Shares, StopFlag, TrainConfig, TrainDevice,
        TrainError, loss_and_gradients,
        objective::{Keys, RowRun, objective_of},
    },
};
use serde_json::json;

/// Ragged examples of three groups, with answers of other lengths in each.
fn examples() -> (Vec<Vec<Encoded>>, Vec<usize>) {
    let example = |i: u32| {
        let group = [0, 0, 1, 0, 0, 2, 0][(i % 7) as usize];
        let targets = [1 + i % 2, 5 + i % 4, 11 + i % 3][group];
        let tokens: Vec<u32> = (0..3 + targets).map(|place| 20 + (i * 13) % 50 + place).collect();
        let supervised = (0..tokens.len()).map(|place| place >= 3).collect();
        (vec![Encoded { tokens, supervised }], group)
    };
    (0..22).map(example).unzip()
}

fn shares(weighting: LossWeighting) -> Shares {
    Shares { groups: examples().1, of_group: vec![0.6, 0.3, 0.1], weighting }
}

fn adapter() -> Adapter {
    let fresh = Adapter::init(&LoraConfig { r: 4, ..LoraConfig::default() }, &model(), 3).unwrap();
    changed(&fresh, |name, i, _| 0.05 * hash_uniform(number(name), i))
}

fn flat(found: &LossAndGradients) -> BTreeMap<String, Vec<f32>> {
    found.gradients.iter().map(|(name, tensor)| (name.clone(), common::flat(tensor))).collect()
}

/// The weighted sum of plain means, each computed by itself.
fn composed(parts: &[(f64, Vec<Encoded>)]) -> (f64, BTreeMap<String, Vec<f32>>) {
    let (mut loss, mut sums): (f64, BTreeMap<String, Vec<f32>>) = (0.0, BTreeMap::new());
    for (share, examples) in parts {
        let part = loss_and_gradients(&model(), &adapter(), examples, 64, TrainDevice::Cpu).unwrap();
        loss += share * part.loss;
        for (name, values) in flat(&part) {
            let sum = sums.entry(name).or_insert_with(|| vec![0.0; values.len()]);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += *share as f32 * value);
        }
    }
    (loss, sums)
}

#[test]
fn the_loss_is_the_sum_of_the_groups_means_by_their_shares() {
    let (units, groups) = examples();
    let of = |group: usize| {
        let own = units.iter().zip(&groups).filter(|(_, other)| **other == group);
        own.map(|(unit, _)| unit[0].clone()).collect::<Vec<_>>()
    };
    let by_tokens: Vec<(f64, Vec<Encoded>)> = [(0.6, of(0)), (0.3, of(1)), (0.1, of(2))].into();
    let by_rows = by_tokens.iter().flat_map(|(share, own)| {
        own.iter().map(|example| (share / own.len() as f64, vec![example.clone()])).collect::<Vec<_>>()
    });
    let by_rows: Vec<(f64, Vec<Encoded>)> = by_rows.collect();
    for (weighting, parts) in [(LossWeighting::Tokens, by_tokens), (LossWeighting::Rows, by_rows)] {
        let (loss, gradients) = composed(&parts);
        let sft = objective_of("sft").unwrap();
        // However the batch is cut into micro-batches.
        for tokens in [16, 40, 4096] {
            let (found, _) = sft
                .rows()
                .unwrap()
                .loss_and_gradients(
                    &model(),
                    &adapter(),
                    None,
                    &units,
                    Some(&shares(weighting)),
                    &Keys::new(),
                    tokens,
                    TrainDevice::Cpu,
                )
                .unwrap();
            assert!((found.loss - loss).abs() < 1e-5 * loss, "{weighting:?} {} {loss}", found.loss);
            for (name, values) in flat(&found) {
                let largest = gradients[&name].iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                for (value, expected) in values.iter().zip(&gradients[&name]) {
                    assert!((value - expected).abs() <= 1e-4 * largest, "{weighting:?} {name} {value} {expected}");
                }
            }
        }
    }
}

fn run(
    dir: &Path,
    shares: Option<Shares>,
    on_step: &mut dyn FnMut(&Progress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let train = TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        tokens_per_micro_batch: 20,
        checkpoint_interval_steps: 3,
        seed: 5,
        ..TrainConfig::default()
    };
    let keys = json!({ "learning_rate": 5e-3, "epochs": 2.0, "batch_size": 4 });
    let (model, stop) = (model(), StopFlag::new());
    let run = RowRun {
        model: &model,
        parent: None,
        reference: None,
        past: Past::default(),
        held_to: Vec::new(),
        units: examples().0,
        validation: None,
        shares,
        keys: keys.as_object().unwrap(),
        train: &train,
        checkpoint_dir: dir,
        stop: &stop,
    };
    objective_of("sft").unwrap().rows().unwrap().train(run, &mut |progress| on_step(progress, &stop))
}

fn whole(shares: Option<Shares>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    weights(&trained(run(dir.path(), shares, &mut |_, _| ())).adapter)
}

#[test]
fn a_run_with_shares_that_is_interrupted_ends_with_the_same_bytes() {
    let expected = whole(Some(shares(LossWeighting::Tokens)));
    let dir = tempfile::tempdir().unwrap();
    for at in [2, 7] {
        let outcome = run(dir.path(), Some(shares(LossWeighting::Tokens)), &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at), "{outcome:?}");
    }
    // Other shares are another run.
    for other in [None, Some(shares(LossWeighting::Rows))] {
        assert!(matches!(run(dir.path(), other, &mut |_, _| ()), Err(TrainError::OtherRun { .. })));
    }
    let ended = trained(run(dir.path(), Some(shares(LossWeighting::Tokens)), &mut |_, _| ()));
    assert_eq!(weights(&ended.adapter), expected);
    assert_ne!(whole(None), expected);
}

#[test]
fn a_run_of_one_group_is_the_run_without_shares() {
    let of_one = Shares { groups: vec![1; 22], ..shares(LossWeighting::Tokens) };
    assert_eq!(whole(Some(of_one)), whole(None));
}

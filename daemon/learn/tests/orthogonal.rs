//! A pair that is trained beside a frozen champion, on the tiny model: the champion's numbers stay, the pair turns away from its
//! directions, and a run that was interrupted ends with the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::path::Path;

use common::{changed, hash_uniform, metrics, number, tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    tokenize::Encoded,
    train::{
        OrthogonalConfig, Outcome, Past, PenaltyConfig, Progress, StopFlag, TrainConfig, TrainError,
        objective::{RowRun, objective_of},
    },
};
use serde_json::json;

const RANK: usize = 4;

/// Rank 4 and no power of two together with what is trained, so that nothing divides evenly.
fn champion() -> Adapter {
    let lora = LoraConfig { r: RANK, alpha: 8.0, ..LoraConfig::default() };
    let start = Adapter::init(&lora, &model().config, 3).unwrap();
    changed(&start, |name, i, value| if name.contains("lora_B") { 0.05 * hash_uniform(number(name), i) } else { value })
}

fn beside() -> Adapter {
    let lora = LoraConfig { r: 3, alpha: 6.0, ..LoraConfig::default() };
    champion().plus(1.0, &Adapter::init(&lora, &model().config, 9).unwrap()).unwrap()
}

fn rows() -> Vec<Vec<Encoded>> {
    let row = |i: u32| {
        let tokens: Vec<u32> = (0..6 + i % 5).map(|place| 20 + (i * 13) % 50 + place).collect();
        vec![Encoded { supervised: (0..tokens.len()).map(|place| place >= 2).collect(), tokens }]
    };
    (0..20).map(row).collect()
}

fn run(
    dir: &Path,
    frozen_rank: usize,
    weight: f64,
    watch: &mut dyn FnMut(&Progress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, stop, parent) = (model(), StopFlag::new(), beside());
    let train = TrainConfig {
        lora: parent.config().clone(),
        seed: 5,
        weight_decay: 0.1,
        checkpoint_interval_steps: 2,
        penalty: PenaltyConfig { orthogonal: OrthogonalConfig { weight }, ..PenaltyConfig::default() },
        ..TrainConfig::default()
    };
    let keys = json!({ "learning_rate": 1e-2, "epochs": 4.0, "batch_size": 4 });
    let run = RowRun {
        model: &model,
        parent: Some(parent),
        reference: None,
        past: Past { frozen_rank, ..Past::default() },
        units: rows(),
        held_to: Vec::new(),
        shares: None,
        validation: None,
        keys: keys.as_object().unwrap(),
        train: &train,
        checkpoint_dir: dir,
        stop: &stop,
    };
    objective_of("sft").unwrap().rows().unwrap().train(run, &mut |progress| watch(progress, &stop))
}

fn whole(frozen_rank: usize, weight: f64) -> (Adapter, Vec<Progress>) {
    let dir = tempfile::tempdir().unwrap();
    let adapter = trained(run(dir.path(), frozen_rank, weight, &mut |_, _| ())).adapter;
    (adapter, metrics(dir.path()))
}

/// The numbers of the champion in each matrix, and the others.
fn split(adapter: &Adapter) -> (Vec<f32>, Vec<f32>) {
    let (mut frozen, mut free) = (Vec::new(), Vec::new());
    for (_, site) in adapter.sites() {
        for (tensor, values) in site.tensors().iter().zip(site.values().unwrap()) {
            let (rows, columns) = tensor.dims2().unwrap();
            for (at, value) in values.into_iter().enumerate() {
                let of_rank = if rows == 7 { at / columns } else { at % columns };
                if of_rank < RANK { frozen.push(value) } else { free.push(value) }
            }
        }
    }
    (frozen, free)
}

#[test]
fn the_champion_stays_and_what_is_new_is_learned() {
    let (before, (after, lines)) = (split(&beside()), whole(RANK, 0.5));
    let after = split(&after);
    assert_eq!(after.0, before.0);
    assert!(after.1.iter().zip(&before.1).filter(|(now, then)| now != then).count() > before.1.len() * 9 / 10);
    // Without a weight nothing is held, but the champion stays all the same; and it would move if it were not frozen.
    assert_eq!(split(&whole(RANK, 0.0).0).0, before.0);
    assert_ne!(split(&whole(0, 0.0).0).0, before.0);
    let loss = |line: &Progress| line.loss - line.figures["penalty/orthogonal"];
    assert!(
        loss(lines.last().unwrap()) < 0.9 * loss(&lines[0]),
        "{} then {}",
        loss(&lines[0]),
        loss(lines.last().unwrap())
    );
}

#[test]
fn the_pair_turns_away_from_the_directions_of_the_champion() {
    let overlap = |lines: &[Progress], weight: f64| lines.last().unwrap().figures["penalty/orthogonal"] / weight;
    let (_, loose) = whole(RANK, 1e-9);
    let (_, tight) = whole(RANK, 10.0);
    assert!(
        (loose[0].figures["penalty/orthogonal"] / 1e-9 - tight[0].figures["penalty/orthogonal"] / 10.0).abs() < 1e-6
    );
    assert!(
        overlap(&tight, 10.0) < 0.2 * overlap(&loose, 1e-9),
        "{} and {}",
        overlap(&tight, 10.0),
        overlap(&loose, 1e-9)
    );
}

#[test]
fn interrupted_runs_end_with_the_same_bytes_and_others_are_others() {
    let (expected, lines) = whole(RANK, 0.5);
    let dir = tempfile::tempdir().unwrap();
    for at in [1, 6] {
        let outcome = run(dir.path(), RANK, 0.5, &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at), "{outcome:?}");
    }
    for (frozen_rank, weight) in [(RANK, 0.6), (RANK, 0.0), (0, 0.5), (2, 0.5)] {
        let other = run(dir.path(), frozen_rank, weight, &mut |_, _| ());
        assert!(matches!(other, Err(TrainError::OtherRun { .. })), "{other:?}");
    }
    let resumed = trained(run(dir.path(), RANK, 0.5, &mut |_, _| ()));
    assert_eq!(weights(&resumed.adapter), weights(&expected));
    let losses = |lines: Vec<Progress>| lines.into_iter().map(|line| (line.step, line.loss)).collect::<Vec<_>>();
    assert_eq!(losses(metrics(dir.path())), losses(lines));
}

#[test]
fn where_nothing_is_left_to_train_the_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), 7, 0.5, &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("penalty.orthogonal.weight"), "{refused}");
}

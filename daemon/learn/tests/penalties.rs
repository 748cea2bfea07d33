//! Penalties in runs of the trainer on the tiny model: that each holds the run to what it names, and that a run which was interrupted
//! ends with the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{changed, hash_uniform, metrics, number, tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    model::Model,
    tokenize::Encoded,
    train::{
        DistillationConfig, EwcConfig, Fisher, HeldTo, L2SpConfig, LossAndGradients, Outcome, Past, PenaltyConfig,
        Progress, Shares, StopFlag, TrainConfig, TrainDevice, TrainError, loss_and_gradients,
        objective::{FisherRun, RowRun, objective_of},
    },
};
use safetensors::SafeTensors;
use serde_json::json;

fn lora() -> LoraConfig {
    LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() }
}

/// An adapter that has learned something.
fn champion(model: &Model) -> Adapter {
    let start = Adapter::init(&lora(), &model.config, 3).unwrap();
    changed(&start, |name, i, value| if name.contains("lora_B") { 0.05 * hash_uniform(number(name), i) } else { value })
}

/// New rows, which are trained on, and others that are held to a teacher.
fn rows() -> (Vec<Vec<Encoded>>, Vec<Option<HeldTo>>, Vec<usize>) {
    let row = |i: u32| {
        let tokens: Vec<u32> = (0..6 + i % 5).map(|place| 20 + (i * 13) % 50 + place).collect();
        let supervised = (0..tokens.len()).map(|place| place >= 2).collect();
        vec![Encoded { tokens, supervised }]
    };
    let group = |i: u32| [0, 0, 1, 2][i as usize % 4];
    let teacher = |group: usize| [None, Some(HeldTo::Champion), Some(HeldTo::Base)][group];
    let groups: Vec<usize> = (0..20).map(group).collect();
    ((0..20).map(row).collect(), groups.iter().map(|group| teacher(*group)).collect(), groups)
}

/// What matters of an adapter for the rows, each a batch by itself.
fn fisher(model: &Model, adapter: &Adapter, batches_max: u64) -> Fisher {
    let penalty = PenaltyConfig { ewc: EwcConfig { batches_max, ..EwcConfig::default() }, ..PenaltyConfig::default() };
    let train = TrainConfig { lora: lora(), penalty, ..TrainConfig::default() };
    let keys = json!({ "batch_size": 1, "epochs": 0.1 });
    let run = FisherRun {
        model,
        adapter,
        reference: None,
        units: &rows().0,
        shares: None,
        keys: keys.as_object().unwrap(),
        train: &train,
        stop: &StopFlag::new(),
    };
    objective_of("sft").unwrap().rows().unwrap().fisher(&run).unwrap().unwrap()
}

/// A run that goes on from the champion, and that `watch` may stop.
fn run(
    dir: &Path,
    penalty: &PenaltyConfig,
    watch: &mut dyn FnMut(&Progress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, stop) = (model(), StopFlag::new());
    let champion = champion(&model);
    let (units, held_to, groups) = rows();
    let fisher = fisher(&model, &champion, u64::MAX);
    let train = TrainConfig {
        lora: lora(),
        seed: 5,
        tokens_per_micro_batch: 24,
        checkpoint_interval_steps: 2,
        penalty: penalty.clone(),
        ..TrainConfig::default()
    };
    let keys = json!({ "learning_rate": 1e-2, "epochs": 2.0, "batch_size": 4 });
    let run = RowRun {
        model: &model,
        parent: Some(champion.clone()),
        reference: Some(&champion),
        past: Past { champion: Some(&champion), fisher: Some(&fisher), ..Past::default() },
        units,
        held_to,
        shares: Some(Shares { groups, of_group: vec![0.6, 0.3, 0.1], ..Shares::default() }),
        validation: None,
        keys: keys.as_object().unwrap(),
        train: &train,
        checkpoint_dir: dir,
        stop: &stop,
    };
    objective_of("sft").unwrap().rows().unwrap().train(run, &mut |progress| watch(progress, &stop))
}

/// The adapter, and the lines of its metrics.
fn whole(penalty: &PenaltyConfig) -> (Adapter, Vec<Progress>) {
    let dir = tempfile::tempdir().unwrap();
    let adapter = trained(run(dir.path(), penalty, &mut |_, _| ())).adapter;
    (adapter, metrics(dir.path()))
}

fn distance(one: &Adapter, other: &Adapter) -> f64 {
    let values = |adapter: &Adapter| -> Vec<f32> {
        adapter.sites().flat_map(|(_, site)| site.values().unwrap().concat()).collect()
    };
    let pairs = values(one).into_iter().zip(values(other));
    pairs.map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>().sqrt()
}

fn l2_sp(weight: f64) -> PenaltyConfig {
    PenaltyConfig { l2_sp: L2SpConfig { weight }, ..PenaltyConfig::default() }
}

fn distillation(champion: f64, base: f64) -> PenaltyConfig {
    PenaltyConfig { distillation: DistillationConfig { champion, base }, ..PenaltyConfig::default() }
}

fn ewc(weight: f64) -> PenaltyConfig {
    PenaltyConfig { ewc: EwcConfig { weight, ..EwcConfig::default() }, ..PenaltyConfig::default() }
}

/// By the name of each tensor, as it is kept.
fn kept(fisher: &Fisher) -> BTreeMap<String, Vec<f32>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fisher.safetensors");
    fisher.save(&path).unwrap();
    let bytes = fs::read(path).unwrap();
    let numbers = |data: &[u8]| data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| (name.to_owned(), numbers(view.data())))
        .collect()
}

#[test]
fn the_information_is_the_mean_square_of_the_gradients() {
    let model = model();
    let champion = champion(&model);
    let found = kept(&fisher(&model, &champion, u64::MAX));
    let units = rows().0;
    let mut expected: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for unit in &units {
        let LossAndGradients { gradients, .. } =
            loss_and_gradients(&model, &champion, unit, 64, TrainDevice::Cpu).unwrap();
        for (name, gradient) in gradients {
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            let sums = expected.entry(name).or_insert_with(|| vec![0.0; gradient.len()]);
            sums.iter_mut()
                .zip(&gradient)
                .for_each(|(sum, slope)| *sum += f64::from(*slope).powi(2) / units.len() as f64);
        }
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, values) in &found {
        let greatest = expected[name].iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (value, expected) in values.iter().zip(&expected[name]) {
            assert!((f64::from(*value) - expected).abs() < 1e-4 * greatest, "{name}: {value} instead of {expected}");
        }
    }
    // A bound is one.
    assert_ne!(kept(&fisher(&model, &champion, 3)), found);
}

#[test]
fn each_holds_to_what_it_names() {
    let champion = champion(&model());
    let (free, lines) = whole(&PenaltyConfig::default());
    assert!(lines.iter().all(|line| line.figures.is_empty()));

    let (near, lines) = whole(&l2_sp(3.0));
    assert!(distance(&near, &champion) < 0.5 * distance(&free, &champion));
    // At the champion itself there is nothing to pay.
    assert!(lines[0].figures["penalty/l2_sp"] == 0.0 && lines[1].figures["penalty/l2_sp"] > 0.0);

    let (near, lines) = whole(&ewc(3e3));
    assert!(distance(&near, &champion) < 0.9 * distance(&free, &champion));
    assert!(lines[0].figures["penalty/ewc"] == 0.0 && lines[1].figures["penalty/ewc"] > 0.0);

    let mean = |lines: &[Progress], name: &str| {
        let last: Vec<f64> =
            lines[lines.len() - 5..].iter().filter_map(|line| line.figures.get(name)).copied().collect();
        last.iter().sum::<f64>() / last.len() as f64
    };
    let (_, loose) = whole(&distillation(1e-6, 1e-6));
    let (_, tight) = whole(&distillation(20.0, 1e-6));
    assert!(mean(&tight, "kl/champion") < 0.5 * mean(&loose, "kl/champion"));
    let (_, tight) = whole(&distillation(1e-6, 60.0));
    assert!(mean(&tight, "kl/base") < 0.5 * mean(&loose, "kl/base"));
}

#[test]
fn interrupted_runs_end_with_the_same_bytes() {
    let all = PenaltyConfig {
        l2_sp: L2SpConfig { weight: 0.5 },
        ewc: EwcConfig { weight: 100.0, ..EwcConfig::default() },
        ..distillation(1.0, 0.5)
    };
    let (expected, lines) = whole(&all);
    assert_ne!(weights(&expected), weights(&whole(&PenaltyConfig::default()).0));
    let dir = tempfile::tempdir().unwrap();
    for at in [1, 3, 6] {
        let outcome = run(dir.path(), &all, &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at), "{outcome:?}");
    }
    let resumed = trained(run(dir.path(), &all, &mut |_, _| ()));
    assert_eq!(weights(&resumed.adapter), weights(&expected));
    let figures = |lines: Vec<Progress>| lines.into_iter().map(|line| (line.step, line.figures)).collect::<Vec<_>>();
    assert_eq!(figures(metrics(dir.path())), figures(lines));
}

#[test]
fn another_weight_is_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let stop_at_once = &mut |_: &Progress, stop: &StopFlag| stop.raise();
    run(dir.path(), &l2_sp(0.5), stop_at_once).unwrap();
    for other in [l2_sp(0.6), PenaltyConfig::default(), distillation(0.0, 0.5), ewc(0.5)] {
        assert!(matches!(run(dir.path(), &other, &mut |_, _| ()), Err(TrainError::OtherRun { .. })));
    }
}

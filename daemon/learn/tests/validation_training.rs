//! Validation in runs of the trainer on the tiny model: what it measures, when it ends a run, and that a run which was interrupted
//! decides as one that was not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{fs, path::Path};

use common::{tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    model::Model,
    tokenize::Encoded,
    train::{
        METRICS_FILE, Outcome, Past, StopFlag, TrainConfig, TrainDevice, TrainError, Validating, Validation,
        ValidationUnit, loss_and_gradients,
        objective::{Keys, RowRun, ValidationRun, objective_of},
    },
};
use serde_json::json;

/// Each token is followed by the one that is `rule` more.
fn examples(count: u32, seed: u32, rule: u32) -> Vec<Encoded> {
    let example = |i: u32| {
        let tokens: Vec<u32> = (0..6 + i % 7).map(|place| 20 + ((i + seed) * 13) % 50 + rule * place).collect();
        let supervised = (0..tokens.len()).map(|place| place >= 2).collect();
        Encoded { tokens, supervised }
    };
    (0..count).map(example).collect()
}

/// New rows go by the rule that is trained on, and replayed ones by another, which is therefore forgotten.
fn validated() -> Vec<ValidationUnit> {
    let of = |origin: &'static str, domain: &'static str, rows: Vec<Encoded>| {
        rows.into_iter().map(move |row| ValidationUnit {
            sequences: vec![row],
            origin: origin.to_owned(),
            domain: domain.to_owned(),
        })
    };
    of("new", "up", examples(5, 3, 1))
        .chain(of("new", "far", examples(1, 9, 1)))
        .chain(of("replay", "two", examples(4, 1, 2)))
        .collect()
}

fn config() -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        seed: 5,
        tokens_per_micro_batch: 20,
        checkpoint_interval_steps: 3,
        ..TrainConfig::default()
    }
}

fn keys(epochs: f64) -> Keys {
    // At this rate the rows are soon learned by heart, and others get worse.
    json!({ "learning_rate": 3e-2, "epochs": epochs, "batch_size": 4 }).as_object().unwrap().clone()
}

/// A run that `watch` sees every validation of and may stop.
fn run(
    dir: &Path,
    config: &TrainConfig,
    epochs: f64,
    validation: bool,
    watch: &mut dyn FnMut(&Validation, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, stop, keys) = (model(), StopFlag::new(), keys(epochs));
    let on_loss = &mut |line: &Validation| watch(line, &stop);
    let run = RowRun {
        model: &model,
        parent: None,
        reference: None,
        past: Past::default(),
        held_to: Vec::new(),
        units: examples(22, 0, 1).into_iter().map(|example| vec![example]).collect(),
        shares: None,
        validation: validation.then(|| Validating { units: validated(), on_loss }),
        keys: &keys,
        train: config,
        checkpoint_dir: dir,
        stop: &stop,
    };
    objective_of("sft").unwrap().rows().unwrap().train(run, &mut |_| ())
}

fn validations(dir: &Path) -> Vec<Validation> {
    let text = fs::read_to_string(dir.join(METRICS_FILE)).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn without_time(lines: &[Validation]) -> Vec<Validation> {
    lines.iter().map(|line| Validation { eval_runtime: 0.0, ..line.clone() }).collect()
}

/// The mean loss of rows, computed another way.
fn composed_loss(model: &Model, adapter: &Adapter, rows: &[Encoded]) -> f64 {
    loss_and_gradients(model, adapter, rows, 64, TrainDevice::CpuComposed).unwrap().loss
}

#[test]
fn looking_changes_no_number_and_agrees_with_the_composed_loss() {
    let (plain, watched) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let without = trained(run(plain.path(), &config(), 2.0, false, &mut |_, _| ()));
    let with = trained(run(watched.path(), &config(), 2.0, true, &mut |_, _| ()));
    assert_eq!((weights(&without.adapter), without.run), (weights(&with.adapter), with.run));
    assert!(without.validation.is_none());
    // Before the first step, and after each epoch of six.
    let lines = validations(watched.path());
    assert_eq!(lines.iter().map(|line| (line.step, line.epoch)).collect::<Vec<_>>(), [(0, 0.0), (6, 1.0), (12, 2.0)]);
    let (told, last) = (with.validation.unwrap(), lines.last().unwrap());
    assert_eq!((told.last.loss, told.returned_step, told.stopped_early), (last.eval_loss, 12, false));

    let (model, rows) = (model(), |units: &[ValidationUnit]| -> Vec<Encoded> {
        units.iter().flat_map(|unit| unit.sequences.clone()).collect()
    });
    let units = validated();
    let loss = |rows: &[Encoded]| composed_loss(&model, &with.adapter, rows);
    let close =
        |got: f64, expected: f64| assert!((got - expected).abs() < 1e-4 * expected, "{got}, composed {expected}");
    close(last.eval_loss, loss(&rows(&units)));
    close(last.eval_loss_by_origin["new"], loss(&rows(&units[..6])));
    close(last.eval_loss_by_origin["replay"], loss(&rows(&units[6..])));
    let new = (loss(&rows(&units[..5])) + loss(&rows(&units[5..6]))) / 2.0;
    close(last.eval_loss_balanced, (new + loss(&rows(&units[6..]))) / 2.0);

    // The same outside of a run.
    let keys = keys(2.0);
    let asked = ValidationRun {
        model: &model,
        reference: None,
        units: &units,
        keys: &keys,
        train: &config(),
        stop: &StopFlag::new(),
    };
    let trainer = objective_of("sft").unwrap().rows().unwrap();
    let found = trainer.validation_losses(&asked, &[None, Some(&with.adapter)]).unwrap().unwrap();
    assert_eq!(Some(&found[0]), told.first.as_ref());
    assert_eq!(found[1], told.last);
    asked.stop.raise();
    assert!(trainer.validation_losses(&asked, &[None]).unwrap().is_none());
}

#[test]
fn a_run_ends_early_with_its_best_checkpoint_however_often_it_is_interrupted() {
    let config = TrainConfig {
        eval_steps: Some(2),
        early_stopping_patience: Some(2),
        load_best_model_at_end: true,
        checkpoint_interval_steps: 5,
        ema_decay: Some(0.5),
        ..config()
    };
    let whole = tempfile::tempdir().unwrap();
    let expected = trained(run(whole.path(), &config, 8.0, true, &mut |_, _| ()));
    let (told, lines) = (expected.validation.clone().unwrap(), validations(whole.path()));
    // What is replayed is forgotten, so the best step is not the last one.
    let best =
        lines[1..].iter().min_by(|one, other| one.eval_loss_balanced.total_cmp(&other.eval_loss_balanced)).unwrap();
    assert!(told.stopped_early && expected.steps < 48, "{lines:#?}");
    assert_eq!((told.best.0, told.returned_step, expected.steps), (best.step, best.step, best.step + 4));
    let last = run(
        tempfile::tempdir().unwrap().path(),
        &TrainConfig { load_best_model_at_end: false, ..config.clone() },
        8.0,
        true,
        &mut |_, _| (),
    );
    assert_ne!(weights(&trained(last).adapter), weights(&expected.adapter));

    // Told to stop by every validation in turn, the one before the first step included.
    let stopped = tempfile::tempdir().unwrap();
    let mut told_to = 0;
    let again = loop {
        let mut heard = 0;
        let outcome = run(stopped.path(), &config, 8.0, true, &mut |_, stop| {
            heard += 1;
            stop.raise();
        });
        match outcome.unwrap() {
            Outcome::Stopped { .. } if heard > 0 => told_to += 1,
            Outcome::Stopped { step } => panic!("stopped at {step} without having been told to"),
            Outcome::Trained(trained) => break trained,
        }
    };
    assert_eq!(told_to, lines.len() - 1);
    assert_eq!(weights(&again.adapter), weights(&expected.adapter));
    assert_eq!(again.validation, expected.validation);
    assert_eq!(without_time(&validations(stopped.path())), without_time(&lines));

    // Killed at any checkpoint: those after it are lost, and what metrics say of later steps is told anew.
    let killed = tempfile::tempdir().unwrap();
    let mut heard = 0;
    run(killed.path(), &config, 8.0, true, &mut |_, stop| {
        heard += 1;
        if heard == 4 {
            stop.raise();
        }
    })
    .unwrap();
    let newest = killed.path().join("step-00000006.safetensors");
    fs::remove_file(&newest)
        .unwrap_or_else(|_| panic!("{:?}", fs::read_dir(killed.path()).unwrap().collect::<Vec<_>>()));
    let again = trained(run(killed.path(), &config, 8.0, true, &mut |_, _| ()));
    assert_eq!((weights(&again.adapter), again.validation), (weights(&expected.adapter), expected.validation));
    assert_eq!(without_time(&validations(killed.path())), without_time(&lines));

    // A finished run says the same again, and asks nothing.
    let again = trained(run(killed.path(), &config, 8.0, true, &mut |_, _| panic!("asked again")));
    assert_eq!(weights(&again.adapter), weights(&expected.adapter));
}

#[test]
fn rows_that_decide_are_in_the_name_of_the_run() {
    let name = |config: &TrainConfig, validation| {
        let dir = tempfile::tempdir().unwrap();
        trained(run(dir.path(), config, 1.0, validation, &mut |_, _| ())).run
    };
    let led = TrainConfig { load_best_model_at_end: true, ..config() };
    assert_ne!(name(&led, true), name(&led, false));
    assert_ne!(name(&led, false), name(&config(), false));
}

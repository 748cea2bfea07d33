//! AdamW's state from one run to the next, on the tiny model: that two runs are then exactly one, and that a run which was
//! interrupted ends with the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::path::Path;

use common::{tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    tokenize::Encoded,
    train::{
        OptimizerState, Outcome, Past, Progress, Schedule, StopFlag, TrainConfig, TrainError, Trained, Validating,
        ValidationUnit,
        objective::{RowRun, objective_of},
    },
};
use serde_json::json;

fn row(first: u32) -> Vec<Encoded> {
    let tokens: Vec<u32> = (0..9).map(|place| first + 3 * place).collect();
    vec![Encoded { supervised: (0..tokens.len()).map(|place| place >= 2).collect(), tokens }]
}

/// What goes another way than the rows that are trained on.
fn other() -> Vec<Encoded> {
    let tokens: Vec<u32> = (0..9).map(|place| 70 - 4 * place).collect();
    vec![Encoded { supervised: (0..tokens.len()).map(|place| place >= 2).collect(), tokens }]
}

fn config() -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        seed: 5,
        schedule: Schedule::Constant,
        weight_decay: 0.01,
        checkpoint_interval_steps: 1,
        ..TrainConfig::default()
    }
}

/// A run of so many steps, each over the same rows whatever their order, so that where it begins makes the only difference.
fn run(
    dir: &Path,
    config: &TrainConfig,
    steps: u32,
    before: Option<&Trained>,
    carried: Option<&OptimizerState>,
    watch: &mut dyn FnMut(&Progress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, stop) = (model(), StopFlag::new());
    let keys = json!({ "learning_rate": 1e-2, "epochs": steps, "batch_size": 4 });
    let validation = ValidationUnit { sequences: other(), origin: "new".to_owned(), domain: "d".to_owned() };
    let run = RowRun {
        model: &model,
        parent: before.map(|before| before.adapter.clone()),
        reference: None,
        past: Past { optimizer: carried, ..Past::default() },
        units: vec![row(20); 4],
        held_to: Vec::new(),
        shares: None,
        validation: Some(Validating { units: vec![validation], on_loss: &mut |_| () }),
        keys: keys.as_object().unwrap(),
        train: config,
        checkpoint_dir: dir,
        stop: &stop,
    };
    objective_of("sft").unwrap().rows().unwrap().train(run, &mut |progress| watch(progress, &stop))
}

fn whole(config: &TrainConfig, steps: u32, before: Option<&Trained>, carried: Option<&OptimizerState>) -> Trained {
    let dir = tempfile::tempdir().unwrap();
    trained(run(dir.path(), config, steps, before, carried, &mut |_, _| ()))
}

/// As it lies on disk between two cycles.
fn kept(state: &OptimizerState) -> OptimizerState {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    state.save(&path).unwrap();
    OptimizerState::load(&path).unwrap().unwrap()
}

#[test]
fn two_runs_are_one_where_the_state_is_carried() {
    let config = config();
    let one = whole(&config, 7, None, None);
    let first = whole(&config, 3, None, None);
    let state = kept(first.optimizer.as_deref().unwrap());
    assert!(state.is_of(&first.adapter).unwrap() && state.steps() == 3);
    let second = whole(&config, 4, Some(&first), Some(&state));
    assert_eq!(weights(&second.adapter), weights(&one.adapter));
    assert_eq!(second.optimizer, one.optimizer);
    assert_ne!(weights(&whole(&config, 4, Some(&first), None).adapter), weights(&one.adapter));
}

#[test]
fn a_run_that_was_interrupted_ends_with_the_same_bytes_and_is_another_without_the_state() {
    let config = config();
    let first = whole(&config, 3, None, None);
    let state = first.optimizer.as_deref();
    let expected = whole(&config, 5, Some(&first), state);
    let dir = tempfile::tempdir().unwrap();
    for at in [1, 3] {
        let outcome = run(dir.path(), &config, 5, Some(&first), state, &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at), "{outcome:?}");
    }
    let without = run(dir.path(), &config, 5, Some(&first), None, &mut |_, _| ());
    assert!(matches!(without, Err(TrainError::OtherRun { .. })), "{without:?}");
    let resumed = trained(run(dir.path(), &config, 5, Some(&first), state, &mut |_, _| ()));
    assert_eq!(weights(&resumed.adapter), weights(&expected.adapter));
    assert_eq!(resumed.optimizer, expected.optimizer);
}

#[test]
fn there_is_no_state_of_what_no_step_left() {
    let averaged = TrainConfig { ema_decay: Some(0.9), ..config() };
    assert!(whole(&averaged, 3, None, None).optimizer.is_none());
    let best = TrainConfig { load_best_model_at_end: true, ..config() };
    // What is learned by heart is bad for what goes another way.
    let many = whole(&best, 30, None, None);
    assert!(many.validation.unwrap().returned_step < 30 && many.optimizer.is_none());
    assert!(whole(&best, 1, None, None).optimizer.is_some());
}

#[test]
fn a_state_of_another_shape_is_refused_by_the_tensor() {
    let first = whole(&config(), 1, None, None);
    let lora = LoraConfig { r: 2, alpha: 4.0, ..LoraConfig::default() };
    let other = Adapter::init(&lora, &model().config, 1).unwrap();
    let before = Trained { adapter: other, ..whole(&config(), 1, None, None) };
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { lora, ..config() };
    let refused = run(dir.path(), &config, 1, Some(&before), first.optimizer.as_deref(), &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("lora_A"), "{refused}");
}

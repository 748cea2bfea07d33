//! Whole runs of the trainer on the tiny model: learning, stopping, resuming, refusing.

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
    adapter::LoraConfig,
    tokenize::Encoded,
    train::{Outcome, Progress, StopFlag, TrainConfig, TrainDevice, TrainError, Trained, train},
};

/// Ragged examples with a rule to learn: each token is followed by the next one.
fn examples() -> Vec<Encoded> {
    let example = |i: u32| {
        let tokens: Vec<u32> = (0..6 + i % 7).map(|place| 20 + (i * 13) % 50 + place).collect();
        let supervised = (0..tokens.len()).map(|place| place >= 2).collect();
        Encoded { tokens, supervised }
    };
    (0..22).map(example).collect()
}

fn config() -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        seed: 5,
        batch_size: 4,
        tokens_per_micro_batch: 20,
        epochs: 2.0,
        learning_rate: 5e-3,
        warmup_ratio: 0.1,
        checkpoint_interval_steps: 3,
        ..TrainConfig::default()
    }
}

fn run(dir: &Path, config: &TrainConfig, on_step: &mut dyn FnMut(&Progress, &StopFlag)) -> Result<Outcome, TrainError> {
    let stop = StopFlag::new();
    train(&model(), None, examples(), config, dir, &stop, &mut |progress| on_step(progress, &stop))
}

fn finish(dir: &Path, config: &TrainConfig) -> Trained {
    trained(run(dir, config, &mut |_, _| ()))
}

fn metrics(dir: &Path) -> Vec<Progress> {
    common::metrics(dir)
}

#[test]
fn learns_and_reports_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    run(dir.path(), &config(), &mut |progress, _| steps.push(progress.clone())).unwrap();
    assert_eq!(steps.iter().map(|progress| progress.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(steps[11].loss < 0.8 * steps[0].loss, "{} to {}", steps[0].loss, steps[11].loss);
    assert_eq!(steps[0].learning_rate, 0.0);
    assert_eq!(steps[11].epoch, 2.0);
    assert_eq!(metrics(dir.path()).len(), 12);
}

#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let expected = weights(&finish(whole.path(), &config()).adapter);

    // Asked to stop after steps 2 and 7, neither of which a checkpoint was due at.
    let stopped = tempfile::tempdir().unwrap();
    for at in [2, 7] {
        let outcome = run(stopped.path(), &config(), &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at));
    }
    assert_eq!(weights(&finish(stopped.path(), &config()).adapter), expected);

    // Killed while the checkpoint of step 8 was written: only half of it is there, and that of step 6.
    let killed = tempfile::tempdir().unwrap();
    run(killed.path(), &config(), &mut |progress, stop| {
        if progress.step == 8 {
            stop.raise();
        }
    })
    .unwrap();
    let newest = killed.path().join("step-00000008.safetensors");
    let whole_file = fs::read(&newest).unwrap();
    fs::write(&newest, &whole_file[..whole_file.len() / 2]).unwrap();
    assert_eq!(weights(&finish(killed.path(), &config()).adapter), expected);

    for dir in [&whole, &stopped, &killed] {
        let steps: Vec<u64> = metrics(dir.path()).iter().map(|progress| progress.step).collect();
        assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn a_run_that_an_earlier_program_began_goes_on() {
    // What version 0.1.0 called this run before there was a canonical form.
    const NAME: &str = "5ebb38c69483d04ccbbf182875c204087bfa5e3f398e1a6ac644a52016c0c4d9";
    let (dir, newest) = (tempfile::tempdir().unwrap(), "step-00000012.safetensors");
    let trained = finish(dir.path(), &config());
    common::rename_run(dir.path(), trained.run, NAME);
    fs::remove_file(dir.path().join(newest)).unwrap();
    let mut steps = 0;
    let again = run(dir.path(), &config(), &mut |_, _| steps += 1).unwrap();
    assert!(matches!(again, Outcome::Trained(again) if weights(&again.adapter) == weights(&trained.adapter)));
    assert_eq!(steps, 3);
}

#[test]
fn a_finished_run_gives_its_adapter_again_without_training() {
    let dir = tempfile::tempdir().unwrap();
    let first = weights(&finish(dir.path(), &config()).adapter);
    let mut steps = 0;
    let again = run(dir.path(), &config(), &mut |_, _| steps += 1).unwrap();
    assert!(matches!(again, Outcome::Trained(trained) if weights(&trained.adapter) == first && trained.loss.is_some()));
    assert_eq!(steps, 0);
}

#[test]
fn threads_and_checkpoint_interval_do_not_change_the_result() {
    let config = TrainConfig { steps_max: Some(3), ..config() };
    let run = |threads: usize, checkpoint_interval_steps: u64| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let config = TrainConfig { checkpoint_interval_steps, ..config.clone() };
        weights(&pool.install(|| finish(dir.path(), &config)).adapter)
    };
    let one = run(1, 1);
    assert_eq!(one, run(2, 2));
    assert_eq!(one, run(3, 50));
}

#[test]
fn the_composed_passes_train_nearly_the_same_adapter() {
    let run = |device| {
        let dir = tempfile::tempdir().unwrap();
        let adapter = finish(dir.path(), &TrainConfig { device, ..config() }).adapter;
        (adapter, metrics(dir.path()).last().unwrap().loss)
    };
    let ((by_hand, loss), (composed, composed_loss)) = (run(TrainDevice::Cpu), run(TrainDevice::CpuComposed));
    assert!((loss - composed_loss).abs() < 1e-3 * loss, "{composed_loss}, by hand {loss}");
    let (mut difference, mut whole) = (0.0, 0.0);
    for ((_, one), (_, other)) in by_hand.sites().zip(composed.sites()) {
        for (one, other) in one.tensors().iter().zip(other.tensors()) {
            for (one, other) in common::flat(one).iter().zip(common::flat(other)) {
                difference += (one - other).powi(2);
                whole += one.powi(2);
            }
        }
    }
    // AdamW's first steps go by the signs of gradients, also of those that are nearly nought.
    let error = (difference / whole).sqrt();
    assert!((1e-9..1e-2).contains(&error), "{error}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_takes_a_build_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), &TrainConfig { device: TrainDevice::Cuda, ..config() }, &mut |_, _| ());
    assert!(matches!(refused, Err(TrainError::NotBuiltForCuda)));
}

#[test]
fn a_run_goes_on_from_its_parent() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parent = finish(first.path(), &config()).adapter;
    let last_loss = metrics(first.path())[11].loss;
    let mut losses = Vec::new();
    let go_on = |dir: &Path, config: &TrainConfig, losses: &mut Vec<f64>| {
        let parent = Some(parent.clone());
        train(&model(), parent, examples(), config, dir, &StopFlag::new(), &mut |progress| losses.push(progress.loss))
    };
    go_on(second.path(), &config(), &mut losses).unwrap();
    assert!(losses[0] < 1.5 * last_loss, "started at {}, the parent had ended at {last_loss}", losses[0]);

    let other = TrainConfig { lora: LoraConfig { r: 8, ..LoraConfig::default() }, ..config() };
    let refused = go_on(tempfile::tempdir().unwrap().path(), &other, &mut losses);
    assert!(matches!(refused, Err(TrainError::OtherShape { .. })));
}

#[test]
fn a_run_whose_every_rate_is_zero_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), &TrainConfig { steps_max: Some(1), ..config() }, &mut |_, _| ());
    assert!(matches!(refused, Err(TrainError::NoLearningRate { steps: 1, .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    finish(dir.path(), &TrainConfig { steps_max: Some(2), ..config() });
    let other = run(dir.path(), &config(), &mut |_, _| ());
    assert!(matches!(other, Err(TrainError::OtherRun { .. })));
}

#[test]
fn a_run_that_leaves_the_numbers_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let wild = TrainConfig { learning_rate: 1e30, warmup_ratio: 0.0, ..config() };
    match run(dir.path(), &wild, &mut |_, _| ()) {
        Err(TrainError::NotFinite { step, examples, .. }) => assert!(step > 1 && !examples.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn examples_without_targets_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let train_on = |examples| train(&model(), None, examples, &config(), dir.path(), &StopFlag::new(), &mut |_| ());
    assert!(matches!(train_on(vec![]), Err(TrainError::NoExamples)));
    let mut all = examples();
    all[3].supervised.fill(false);
    assert!(matches!(train_on(all), Err(TrainError::NothingSupervised { example: 3 })));
}

//! Whole runs on preference pairs with the tiny model: learning, stopping, resuming, refusing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{fs, path::Path};

use common::{scale_b, tiny as model, trained, weights};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    tokenize::Encoded,
    train::{
        Outcome, Past, Progress, StopFlag, TrainConfig, TrainError, Trained,
        objective::{RowRun, objective_of},
    },
};
use serde_json::{Value, json};

const REFERENCE_FILE: &str = "reference.safetensors";

/// Ragged pairs with a rule to learn: even tokens are better than odd ones.
fn pairs() -> Vec<Vec<Encoded>> {
    let pair = |i: u32| {
        let prompt: Vec<u32> = (0..3 + i % 4).map(|place| 20 + (i * 13 + place * 7) % 90).collect();
        let answer = |odd: u32, length: u32| {
            let own = (0..length).map(|place| 100 + 2 * ((i * 5 + place * 11) % 60) + odd);
            let tokens: Vec<u32> = prompt.iter().copied().chain(own).collect();
            Encoded { supervised: (0..tokens.len()).map(|place| place >= prompt.len()).collect(), tokens }
        };
        vec![answer(0, 3 + i % 3), answer(1, 2 + i % 5)]
    };
    (0..14).map(pair).collect()
}

fn config() -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        seed: 5,
        // Less than a pair has.
        tokens_per_micro_batch: 8,
        warmup_ratio: 0.1,
        checkpoint_interval_steps: 3,
        ..TrainConfig::default()
    }
}

fn keys() -> Value {
    json!({ "learning_rate": 1e-2, "epochs": 3.0, "batch_size": 4, "beta": 0.2 })
}

fn run(
    dir: &Path,
    keys: &Value,
    champion: Option<&Adapter>,
    on_step: &mut dyn FnMut(&Progress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, stop, dpo) = (model(), StopFlag::new(), objective_of("dpo").unwrap());
    let run = RowRun {
        model: &model,
        parent: champion.cloned(),
        reference: champion,
        past: Past::default(),
        held_to: Vec::new(),
        units: pairs(),
        shares: None,
        validation: None,
        keys: keys.as_object().unwrap(),
        train: &config(),
        checkpoint_dir: dir,
        stop: &stop,
    };
    dpo.rows().unwrap().train(run, &mut |progress| on_step(progress, &stop))
}

fn finish(dir: &Path, champion: Option<&Adapter>) -> Trained {
    trained(run(dir, &keys(), champion, &mut |_, _| ()))
}

fn metrics(dir: &Path) -> Vec<Progress> {
    common::metrics(dir)
}

#[test]
fn the_chosen_answers_win() {
    let dir = tempfile::tempdir().unwrap();
    assert!(finish(dir.path(), None).learned);
    let steps = metrics(dir.path());
    assert_eq!(steps.len(), 12);
    let figure = |at: usize, name: &str| steps[at].figures[name];
    // A fresh adapter is its reference, whatever the pairs were computed beside.
    assert_eq!((steps[0].loss, figure(0, "rewards/margins")), (2.0_f64.ln(), 0.0));
    assert!(steps[11].loss < 0.5 && figure(11, "rewards/accuracies") == 1.0, "{:?}", steps[11]);
    assert!(figure(11, "rewards/chosen") > figure(11, "rewards/rejected"));
}

#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let expected = weights(&finish(whole.path(), None).adapter);
    assert!(whole.path().join(REFERENCE_FILE).exists());

    let stopped = tempfile::tempdir().unwrap();
    for (at, reference) in [(2, "whole"), (7, "lost"), (9, "damaged")] {
        let outcome = run(stopped.path(), &keys(), None, &mut |progress, stop| {
            if progress.step == at {
                stop.raise();
            }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { step }) if step == at), "{outcome:?}");
        // What the reference says is computed anew where it is not there any more, or not what was written.
        let file = stopped.path().join(REFERENCE_FILE);
        match reference {
            "lost" => fs::remove_file(&file).unwrap(),
            "damaged" => {
                let mut bytes = fs::read(&file).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(&file, bytes).unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(weights(&finish(stopped.path(), None).adapter), expected);
    assert_eq!(metrics(stopped.path()).iter().map(|step| step.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert_eq!(
        fs::read(stopped.path().join(REFERENCE_FILE)).unwrap(),
        fs::read(whole.path().join(REFERENCE_FILE)).unwrap()
    );
}

#[test]
fn the_reference_is_the_champion_where_there_is_one() {
    let shape = Adapter::init(&config().lora, &model().config, 1).unwrap();
    let champion = common::changed(&shape, |_, i, _| common::hash_uniform(7, i) * 0.1);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    finish(first.path(), Some(&champion));
    let steps = metrics(first.path());
    assert_eq!((steps[0].loss, steps[0].figures["rewards/chosen"]), (2.0_f64.ln(), 0.0));

    // Another champion is another run.
    let (other, model) = (scale_b(&champion, 0.5), model());
    let train = config();
    let run = |reference| {
        let run = RowRun {
            model: &model,
            parent: Some(champion.clone()),
            reference,
            past: Past::default(),
            held_to: Vec::new(),
            units: pairs(),
            shares: None,
            validation: None,
            keys: &keys().as_object().unwrap().clone(),
            train: &train,
            checkpoint_dir: first.path(),
            stop: &StopFlag::new(),
        };
        objective_of("dpo").unwrap().rows().unwrap().train(run, &mut |_| ())
    };
    assert!(matches!(run(Some(&other)), Err(TrainError::OtherRun { .. })));
    assert!(matches!(run(Some(&champion)), Ok(Outcome::Trained(_))));
    finish(second.path(), None);
    assert_ne!(metrics(second.path())[0].figures["logps/chosen"], steps[0].figures["logps/chosen"]);
}

#[test]
fn keys_that_make_no_sense_are_named() {
    let dpo = objective_of("dpo").unwrap();
    let problem = |keys: Value| dpo.check(keys.as_object().unwrap()).unwrap_err().to_string();
    assert!(problem(json!({"beta": 0.0})).contains("beta"));
    assert!(problem(json!({"batch_size": 0})).contains("batch_size"));
    let unknown = dpo.complete(json!({"label_smoothing": 0.1}).as_object().unwrap()).unwrap_err().to_string();
    assert!(unknown.starts_with("unknown field `label_smoothing`"), "{unknown}");
    let grpo = objective_of("grpo").unwrap();
    let wrong = grpo.complete(json!({"loss_type": "ppo"}).as_object().unwrap()).unwrap_err().to_string();
    assert!(wrong.starts_with("`loss_type`: unknown variant `ppo`, expected one of `grpo`, `bnpo`"), "{wrong}");
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), &json!({"beta": -1.0}), None, &mut |_, _| ());
    assert!(matches!(refused, Err(TrainError::Config { key: "beta", .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

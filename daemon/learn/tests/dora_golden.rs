//! DoRA against PEFT on the tiny model: how it begins, loss and gradients, an optimiser step, files, and resuming
//! (see tests/goldens/README.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{flat, goldens, tiny as model};
use perennial_learn::{
    adapter::{Adapter, CONFIG_FILE, Kind, LoraConfig, WEIGHTS_FILE},
    tokenize::Encoded,
    train::{Outcome, Schedule, StopFlag, TrainConfig, TrainDevice, loss_and_gradients, train},
};
use safetensors::SafeTensors;
use serde::Deserialize;

const RELATIVE_ERROR_MAX: f64 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    r: usize,
    alpha: f64,
    learning_rate: f64,
    samples: Vec<Sample>,
    loss: f64,
}

#[derive(Deserialize)]
struct Sample {
    tokens: Vec<u32>,
    supervised: Vec<u8>,
    logprobs: Vec<f32>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_slice(&fs::read(goldens().join("dora_tiny.json")).unwrap()).unwrap()
    }

    fn examples(&self) -> Vec<Encoded> {
        let example = |sample: &Sample| Encoded {
            tokens: sample.tokens.clone(),
            supervised: sample.supervised.iter().map(|flag| *flag == 1).collect(),
        };
        self.samples.iter().map(example).collect()
    }

    fn shape(&self) -> LoraConfig {
        LoraConfig { r: self.r, alpha: self.alpha, kind: Kind::DORA, ..LoraConfig::default() }
    }
}

/// Values by name, and shapes, of a safetensors file.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let of_file = file.tensors();
    of_file.iter().map(|(name, view)| (name.clone(), (view.shape().to_vec(), values(view.data())))).collect()
}

fn saved(adapter: &Adapter) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let dir = tempfile::tempdir().unwrap();
    adapter.save_peft(dir.path(), "tiny").unwrap();
    tensors(&dir.path().join(WEIGHTS_FILE))
}

#[track_caller]
fn assert_close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(expected).map(|(got, expected)| f64::from(got - expected)))
        / norm(&mut expected.iter().map(|value| f64::from(*value)));
    assert!(error < RELATIVE_ERROR_MAX, "{name} is off by {error:e}");
}

fn adapter() -> Adapter {
    Adapter::load_peft(&goldens().join("adapter_dora_tiny")).unwrap()
}

#[test]
fn it_begins_as_in_peft() {
    let (golden, model) = (Golden::read(), model());
    let fresh = Adapter::init(&golden.shape(), &model, 1).unwrap();
    assert!(fresh.has_no_effect(&model).unwrap() && !adapter().has_no_effect(&model).unwrap());
    let (ours, theirs) = (saved(&fresh), tensors(&goldens().join("dora_tiny.safetensors")));
    let magnitudes: Vec<_> =
        theirs.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("fresh.")?, tensor))).collect();
    assert_eq!(magnitudes.len(), 21);
    for (name, (_, expected)) in magnitudes {
        assert_close(name, &ours[name].1, expected);
    }
    let refused = Adapter::init(&golden.shape(), &model.config, 1).unwrap_err();
    assert!(refused.to_string().contains("dora"), "{refused}");
}

#[test]
fn loss_and_gradients_agree_with_peft() {
    let (golden, model) = (Golden::read(), model());
    let expected = tensors(&goldens().join("dora_tiny.safetensors"));
    for (device, tokens) in [(TrainDevice::Cpu, 1), (TrainDevice::Cpu, 8192), (TrainDevice::CpuComposed, 96)] {
        let got = loss_and_gradients(&model, &adapter(), &golden.examples(), tokens, device).unwrap();
        assert!((got.loss - golden.loss).abs() < RELATIVE_ERROR_MAX * golden.loss, "{} {}", got.loss, golden.loss);
        for (got, sample) in got.logprobs.iter().zip(&golden.samples) {
            assert_eq!(got.len(), sample.logprobs.len());
            for (got, expected) in got.iter().zip(&sample.logprobs) {
                let error = f64::from((got - expected).abs() / expected.abs().max(1.0));
                assert!(error < RELATIVE_ERROR_MAX, "log-probability {got}, expected {expected}");
            }
        }
        assert_eq!(got.gradients.len(), 63);
        for (name, gradient) in &got.gradients {
            let (shape, expected) = &expected[name];
            assert_eq!(gradient.dims(), shape);
            assert_close(name, &flat(gradient), expected);
        }
    }
}

#[test]
fn a_step_ends_where_pefts_does() {
    let golden = Golden::read();
    let config = TrainConfig {
        lora: golden.shape(),
        batch_size: golden.samples.len(),
        steps_max: Some(1),
        schedule: Schedule::Constant,
        learning_rate: golden.learning_rate,
        gradient_norm_max: 1e9,
        ..TrainConfig::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let run = |device| {
        let (dir, config) = (dir.path().join(format!("{device:?}")), TrainConfig { device, ..config.clone() });
        train(&model(), Some(adapter()), golden.examples(), &config, &dir, &StopFlag::new(), &mut |_| ()).unwrap()
    };
    let expected = tensors(&goldens().join("dora_tiny.safetensors"));
    for device in [TrainDevice::Cpu, TrainDevice::CpuComposed] {
        let Outcome::Trained(trained) = run(device) else { panic!("it was not asked to stop") };
        for (name, (_, values)) in saved(&trained.adapter) {
            assert_close(&name, &values, &expected[&format!("stepped.{name}")].1);
        }
    }
}

#[test]
fn folders_are_pefts() {
    let theirs = goldens().join("adapter_dora_tiny");
    let dir = tempfile::tempdir().unwrap();
    adapter().save_peft(dir.path(), "tiny").unwrap();
    assert_eq!(tensors(&dir.path().join(WEIGHTS_FILE)), tensors(&theirs.join(WEIGHTS_FILE)));
    let config: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join(CONFIG_FILE)).unwrap()).unwrap();
    assert_eq!((&config["use_dora"], &config["peft_type"]), (&true.into(), &"LORA".into()));
    let again = Adapter::load_peft(dir.path()).unwrap();
    assert_eq!((again.config(), again.config().kind), (adapter().config(), Kind::DORA));
    assert_eq!(again.fingerprint().unwrap(), adapter().fingerprint().unwrap());

    let plain = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
    let differences: Vec<String> =
        adapter().config().differences(plain.config()).iter().map(ToString::to_string).collect();
    assert_eq!(differences, ["use_dora is true in the adapter and false in the configuration"]);
    let wider = LoraConfig { r: 16, ..adapter().config().clone() };
    for (adapter, config) in [(adapter(), &wider), (adapter(), plain.config()), (plain.clone(), &wider)] {
        let refused = adapter.rebased(config, &model().config, 1).unwrap_err().to_string();
        assert!(refused.contains("dora"), "{refused}");
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let golden = Golden::read();
    let config = TrainConfig {
        lora: golden.shape(),
        batch_size: 2,
        epochs: 2.0,
        learning_rate: 1e-3,
        checkpoint_interval_steps: 4,
        ..TrainConfig::default()
    };
    let run = |dir: &Path, end: u64| {
        let stop = StopFlag::new();
        let outcome = train(&model(), None, golden.examples(), &config, dir, &stop, &mut |progress| {
            if progress.step == end {
                stop.raise();
            }
        });
        match outcome.unwrap() {
            Outcome::Trained(trained) => Some(trained.adapter.fingerprint().unwrap()),
            Outcome::Stopped { .. } => None,
        }
    };
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(whole.path(), 0);
    assert!(expected.is_some());
    assert_eq!([run(stopped.path(), 3), run(stopped.path(), 5)], [None; 2]);
    assert_eq!(run(stopped.path(), 0), expected);
}

//! Loss, log-probabilities and every adapter gradient against PEFT + transformers in f32 (see tests/goldens/README.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use common::{changed, flat, goldens, hash_uniform, isa::under_every_isa, number, smollm2};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    compute::Precision,
    model::Model,
    tokenize::Encoded,
    train::{LossAndGradients, TrainDevice, loss_and_gradients},
};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// What the design allows.
const RELATIVE_ERROR_MAX: f64 = 1e-4;

/// The same for single values of gradients that have been through 30 layers, whose sums each instruction set takes in an order of
/// its own.
const SMOLLM2_ERROR_MAX: f64 = 2e-4;
/// By how much a gradient in bf16 differs from that in f32, by their norms: eight bits of significand are rounded by up to
/// 0.4 %, many times through the layers and back. What differs by less was not rounded.
const BF16_ERROR: Range<f64> = 1e-4..0.05;
const BF16_COSINE_MIN: f64 = 0.999;

#[derive(Deserialize)]
struct Golden {
    r: usize,
    alpha: f64,
    samples: Vec<GoldenSample>,
    supervised_tokens: usize,
    loss: f64,
    #[serde(default)]
    gradients: BTreeMap<String, Measures>,
}

#[derive(Deserialize)]
struct GoldenSample {
    tokens: Vec<u32>,
    supervised: Vec<u8>,
    logprobs: Vec<f32>,
}

#[derive(Deserialize)]
struct Measures {
    norm: f64,
    dot: f64,
    indices: Vec<usize>,
    values: Vec<f32>,
}

impl Golden {
    fn read(name: &str) -> Self {
        serde_json::from_slice(&fs::read(goldens().join(name)).unwrap()).unwrap()
    }

    fn examples(&self) -> Vec<Encoded> {
        let example = |sample: &GoldenSample| Encoded {
            tokens: sample.tokens.clone(),
            supervised: sample.supervised.iter().map(|flag| *flag == 1).collect(),
        };
        self.samples.iter().map(example).collect()
    }

    /// Compares all but the gradients.
    fn check_loss(&self, got: &LossAndGradients) {
        assert_eq!(got.supervised_tokens, self.supervised_tokens);
        let error = (got.loss - self.loss).abs() / self.loss;
        assert!(error < RELATIVE_ERROR_MAX, "the loss is {}, expected {} (error {error:e})", got.loss, self.loss);
        for (got, sample) in got.logprobs.iter().zip(&self.samples) {
            assert_eq!(got.len(), sample.logprobs.len());
            for (got, expected) in got.iter().zip(&sample.logprobs) {
                let error = (got - expected).abs() / expected.abs().max(1.0);
                assert!(f64::from(error) < RELATIVE_ERROR_MAX, "log-probability {got}, expected {expected}");
            }
        }
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// One sample a micro-batch, a few together, and all in one.
const PACKINGS: [usize; 3] = [1, 96, 8192];

#[test]
fn tiny_agrees_with_peft_however_it_is_packed() {
    under_every_isa("tiny_agrees_with_peft_however_it_is_packed", || check_tiny(TrainDevice::Cpu));
}

#[test]
fn tiny_agrees_with_peft_where_it_is_composed() {
    check_tiny(TrainDevice::CpuComposed);
}

fn check_tiny(device: TrainDevice) {
    let golden = Golden::read("grads_tiny.json");
    let model = Model::load(&goldens().join("tiny"), Precision::F32).unwrap();
    let adapter = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
    let bytes = fs::read(goldens().join("grads_tiny.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    for tokens_per_micro_batch in PACKINGS {
        let examples = golden.examples();
        let got = loss_and_gradients(&model, &adapter, &examples, tokens_per_micro_batch, device).unwrap();
        golden.check_loss(&got);
        assert_eq!(got.gradients.len(), expected.len());
        for (name, gradient) in &got.gradients {
            let view = expected.tensor(name).unwrap();
            assert_eq!((view.dtype(), view.shape()), (Dtype::F32, gradient.dims()));
            let expected: Vec<f64> =
                view.data().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
            let gradient = flat(gradient);
            let difference = gradient.iter().zip(&expected).map(|(got, expected)| f64::from(*got) - expected);
            let error = norm(difference) / norm(expected.iter().copied());
            assert!(error < RELATIVE_ERROR_MAX, "{name} is off by {error:e} at {tokens_per_micro_batch} tokens");
        }
    }
}

#[test]
#[ignore = "long, and needs SmolLM2: cargo xtask test --long"]
fn smollm2_agrees_with_peft() {
    let path = smollm2();
    under_every_isa("smollm2_agrees_with_peft", || check_smollm2(&path));
}

fn check_smollm2(path: &Path) {
    let golden = Golden::read("grads_smollm2.json");
    let model = Model::load(path, Precision::F32).unwrap();
    let adapter = formula_adapter(&model, golden.r, golden.alpha);
    let got = loss_and_gradients(&model, &adapter, &golden.examples(), 1024, TrainDevice::Cpu).unwrap();
    golden.check_loss(&got);
    assert_eq!(got.gradients.len(), golden.gradients.len());
    for (name, gradient) in &got.gradients {
        let measures = &golden.gradients[name];
        let gradient = flat(gradient);
        let probe: Vec<f64> = (0..gradient.len()).map(|i| hash_uniform(1000 + number(name), i as u64).into()).collect();
        let got_norm = norm(gradient.iter().map(|value| f64::from(*value)));
        let dot: f64 = gradient.iter().zip(&probe).map(|(value, probe)| f64::from(*value) * probe).sum();
        let greatest = measures.values.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let worst =
            measures.indices.iter().zip(&measures.values).map(|(i, value)| (gradient[*i] - value).abs() / greatest);
        let errors = [
            (got_norm - measures.norm).abs() / measures.norm,
            (dot - measures.dot).abs() / (measures.norm * norm(probe.iter().copied())),
            f64::from(worst.fold(0.0_f32, f32::max)),
        ];
        assert!(
            errors.iter().all(|error| *error < SMOLLM2_ERROR_MAX),
            "{name}: norm, dot, values are off by {errors:?}"
        );
    }
}

#[test]
fn tiny_in_bf16_is_off_by_its_rounding() {
    under_every_isa("tiny_in_bf16_is_off_by_its_rounding", || {
        let adapter = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
        check_bf16(&goldens().join("tiny"), &Golden::read("grads_tiny.json"), |_| adapter);
    });
}

#[test]
#[ignore = "long, and needs SmolLM2: cargo xtask test --long"]
fn smollm2_in_bf16_is_off_by_its_rounding() {
    let path = smollm2();
    let golden = Golden::read("grads_smollm2.json");
    check_bf16(&path, &golden, |model| formula_adapter(model, golden.r, golden.alpha));
}

fn check_bf16(path: &Path, golden: &Golden, adapter: impl FnOnce(&Model) -> Adapter) {
    let model = Model::load(path, Precision::F32).unwrap();
    let adapter = adapter(&model);
    let gradient = |model: &Model| -> Vec<f64> {
        let got = loss_and_gradients(model, &adapter, &golden.examples(), 1024, TrainDevice::Cpu).unwrap();
        got.gradients.values().flat_map(flat).map(f64::from).collect()
    };
    let exact = gradient(&model);
    drop(model);
    let rounded = gradient(&Model::load(path, Precision::Bf16).unwrap());
    let error = norm(rounded.iter().zip(&exact).map(|(got, expected)| got - expected)) / norm(exact.iter().copied());
    let dot: f64 = rounded.iter().zip(&exact).map(|(got, expected)| got * expected).sum();
    let cosine = dot / (norm(rounded.iter().copied()) * norm(exact.iter().copied()));
    println!("the whole gradient is off by {error:.2e}, its direction by a cosine of 1 - {:.2e}", 1.0 - cosine);
    assert!(BF16_ERROR.contains(&error), "the gradient is off by {error:e}");
    assert!(cosine > BF16_COSINE_MIN, "the gradient's cosine is {cosine}");
}

/// The adapter that the goldens give by a formula.
fn formula_adapter(model: &Model, r: usize, alpha: f64) -> Adapter {
    let config = LoraConfig { r, alpha, ..LoraConfig::default() };
    let fresh = Adapter::init(&config, &model.config, 0).unwrap();
    changed(&fresh, |name, i, _| hash_uniform(number(name), i) * if name.contains("lora_B") { 0.03125 } else { 0.0625 })
}

#[test]
fn every_matrix_is_reached_by_the_loss() {
    let golden = Golden::read("grads_tiny.json");
    let model = Model::load(&goldens().join("tiny"), Precision::F32).unwrap();
    let fresh = Adapter::init(&LoraConfig::default(), &model.config, 1).unwrap();
    let got = loss_and_gradients(&model, &fresh, &golden.examples(), 8192, TrainDevice::Cpu).unwrap();
    for (name, gradient) in &got.gradients {
        // While B is zero, nothing flows to A.
        let moves = flat(gradient).iter().any(|value| *value != 0.0);
        assert_eq!(moves, name.contains("lora_B"), "{name}");
    }
}

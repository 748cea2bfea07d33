//! Tokens, loss, figures and adapter gradients of preference pairs against TRL's DPOTrainer (see tests/goldens/README.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod common;

use std::collections::BTreeMap;

use common::{
    goldens,
    isa::under_every_isa,
    measures::{error, gradient_error},
    scale_b, tiny,
};
use perennial_learn::{
    adapter::Adapter,
    tokenize::{EncodeError, Encoded},
    train::{
        TrainDevice,
        objective::{Keys, RowTrainer, objective_of},
    },
};
use perennial_types::{Body, Row};
use serde::Deserialize;
use serde_json::Value;

/// What the design allows.
const RELATIVE_ERROR_MAX: f64 = 1e-4;
/// TRL's default.
const LENGTH_MAX: u64 = 1024;

#[derive(Deserialize)]
struct Golden {
    b_factors: Factors,
    /// The names of the adapter's matrices, in the order of the measures of their gradients.
    tensors: Vec<String>,
    rows: Vec<Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Factors {
    current: f32,
    reference: f32,
}

#[derive(Deserialize)]
struct Case {
    config: Keys,
    /// The rows that TRL does not leave out.
    rows: Vec<usize>,
    /// Of each of them: the prompt, what comes behind it in the chosen, and in the rejected answer.
    tokens: Vec<[Vec<u32>; 3]>,
    loss: f64,
    figures: BTreeMap<String, f64>,
    norms: Vec<f64>,
    dots: Vec<f64>,
}

impl Case {
    fn length_max(&self) -> usize {
        self.config.get("max_length").map_or(LENGTH_MAX, |length| length.as_u64().unwrap()) as usize
    }

    /// The pairs as TRL's collator cuts them.
    fn expected(&self) -> Vec<Vec<Encoded>> {
        let encoded = |prompt: &[u32], answer: &[u32]| {
            let mut tokens = [prompt, answer].concat();
            tokens.truncate(self.length_max());
            Encoded { supervised: (0..tokens.len()).map(|place| place >= prompt.len().max(1)).collect(), tokens }
        };
        let pair =
            |[prompt, chosen, rejected]: &[Vec<u32>; 3]| vec![encoded(prompt, chosen), encoded(prompt, rejected)];
        self.tokens.iter().map(pair).collect()
    }
}

fn dpo() -> &'static dyn RowTrainer {
    objective_of("dpo").unwrap().rows().unwrap()
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(goldens().join("dpo_tiny.json")).unwrap()).unwrap()
}

fn body(row: &Value) -> Body {
    Row::parse(&row.to_string()).unwrap().body
}

#[test]
fn pairs_are_read_and_cut_as_trl_does() {
    let (golden, model) = (golden(), tiny());
    for case in &golden.cases {
        let (mut pairs, mut read) = (Vec::new(), Vec::new());
        for (number, row) in golden.rows.iter().enumerate() {
            match dpo().encode(&model, &body(row), case.length_max()) {
                Ok((pair, notes)) => {
                    let longest = golden.cases[0].tokens[number].iter().map(Vec::len);
                    assert_eq!(
                        notes.cut,
                        longest.clone().next().unwrap() + longest.skip(1).max().unwrap() > case.length_max()
                    );
                    pairs.push(pair);
                    read.push(number);
                }
                Err(EncodeError::NothingSupervised { .. }) => {}
                Err(other) => panic!("row {number}: {other}"),
            }
        }
        assert_eq!(read, case.rows, "{:?}", case.config);
        assert_eq!(pairs, case.expected(), "{:?}", case.config);
    }
}

#[test]
fn loss_figures_and_gradients_agree_with_trl() {
    under_every_isa("loss_figures_and_gradients_agree_with_trl", || check_cases(TrainDevice::Cpu));
}

#[test]
fn loss_figures_and_gradients_agree_with_trl_where_they_are_composed() {
    check_cases(TrainDevice::CpuComposed);
}

fn check_cases(device: TrainDevice) {
    let (golden, model) = (golden(), tiny());
    let plain = Adapter::load_peft(&goldens().join("adapter_tiny")).unwrap();
    let (current, champion) = (scale_b(&plain, golden.b_factors.current), scale_b(&plain, golden.b_factors.reference));
    let mut worst = [0.0_f64; 3];
    for case in &golden.cases {
        let reference = (!case.config.contains_key("reference")).then_some(&champion);
        let keys = case.config.iter().filter(|(key, _)| *key == "beta");
        let keys: Keys = keys.map(|(key, value)| (key.clone(), value.clone())).collect();
        // Each pair by itself, and many together.
        for tokens in [1, 4096] {
            let (got, figures) = dpo()
                .loss_and_gradients(&model, &current, reference, &case.expected(), None, &keys, tokens, device)
                .unwrap();
            assert!(figures.keys().eq(case.figures.keys()));
            let of_figures = figures.values().zip(case.figures.values()).map(|(got, expected)| error(*got, *expected));
            let errors = [
                error(got.loss, case.loss),
                of_figures.fold(0.0, f64::max),
                gradient_error(&got.gradients, &golden.tensors, (&case.norms, &case.dots)),
            ];
            println!("{:?}: loss, figures, gradients off by {errors:?}", case.config);
            worst.iter_mut().zip(errors).for_each(|(worst, error)| *worst = worst.max(error));
        }
    }
    println!("worst: loss, figures, gradients off by {worst:?}");
    assert!(worst.iter().all(|worst| *worst < RELATIVE_ERROR_MAX), "{worst:?}");
}

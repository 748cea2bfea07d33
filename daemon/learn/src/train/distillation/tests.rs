use super::*;
use crate::{
    adapter::{Adapter, LoraConfig},
    model::{
        Architecture, Model,
        testing::{moved, tiny_model},
    },
    stop::StopFlag,
    tokenize::Encoded,
    train::{
        TrainDevice,
        forward::logprobs_under,
        gradients::{Batch, BatchResult, Loss, Targets, Unit},
        parameters::Parameters,
        passes::Passes,
        penalty::distillation::{BASE_FIGURE, CHAMPION_FIGURE, FIGURE, HeldTo},
    },
};

/// An objective that asks for nothing.
struct Nothing;

impl Loss for Nothing {
    fn add(&mut self, _: usize, sequences: &[Targets<'_>], slopes: &mut Vec<f32>) -> f64 {
        let targets: usize = sequences.iter().map(|targets| targets.logprobs.len()).sum();
        slopes.resize(slopes.len() + targets, 0.0);
        0.0
    }
}

struct Case {
    model: Model,
    champion: Parameters,
    policy: Parameters,
    rows: Vec<Encoded>,
}

/// The first row is new, the second replayed, the third an answer of the base model.
fn case() -> Case {
    let model = tiny_model(Architecture::Llama);
    let config = LoraConfig { r: 2, alpha: 4.0, ..LoraConfig::default() };
    let of = |seed| Parameters::from_adapter(&moved(&Adapter::init(&config, &model.config, seed).unwrap())).unwrap();
    let row = |tokens: &[u32], prompt: usize| Encoded {
        tokens: tokens.to_vec(),
        supervised: (0..tokens.len()).map(|place| place >= prompt).collect(),
    };
    let rows = vec![row(&[1, 2, 3, 4], 2), row(&[9, 8, 7, 6, 5], 3), row(&[40, 50, 60], 2)];
    Case { champion: of(1), policy: of(2), model, rows }
}

impl Case {
    fn run(&self, policy: &Parameters, device: TrainDevice, tokens_per_micro_batch: usize) -> BatchResult {
        let units: Vec<Unit<'_>> = self.rows.iter().enumerate().map(|(at, row)| Unit::of(at, [row])).collect();
        let teachers = [
            Teacher { is: HeldTo::Champion, parameters: Some(&self.champion), weights: vec![0.0, 0.5, 0.0] },
            Teacher { is: HeldTo::Base, parameters: None, weights: vec![0.0, 0.0, 2.0] },
        ];
        let batch = Batch { units: &units, temperature: 1.0, teachers: &teachers, tokens_per_micro_batch, step: 1 };
        let mut passes = Passes::on(device, &self.model).unwrap();
        batch.run(&mut passes, policy, &mut Nothing, &StopFlag::new()).unwrap().unwrap()
    }

    /// The divergence at a place of a row, from the log-probability of every token of the vocabulary there.
    fn divergence(&self, teacher: Option<&Parameters>, row: usize, place: usize) -> f64 {
        let every = |token: u32| {
            let tokens = [&self.rows[row].tokens[..place], &[token]].concat();
            Encoded { supervised: (0..tokens.len()).map(|at| at == place).collect(), tokens }
        };
        let examples: Vec<Encoded> = (0..self.model.config.vocab_size as u32).map(every).collect();
        let examples: Vec<&Encoded> = examples.iter().collect();
        let mut passes = Passes::on(TrainDevice::Cpu, &self.model).unwrap();
        let mut logprobs = |parameters| {
            let found = logprobs_under(&mut passes, parameters, &examples, 1.0, 4096, &StopFlag::new());
            found.unwrap().unwrap().concat()
        };
        let (q, p) = (logprobs(teacher), logprobs(Some(&self.policy)));
        q.iter().zip(p).map(|(q, p)| f64::from(*q).exp() * f64::from(q - p)).sum()
    }
}

#[test]
fn is_the_sum_over_the_vocabulary_at_each_target_that_is_held() {
    let case = case();
    let of_champion: f64 = [3, 4].map(|place| case.divergence(Some(&case.champion), 1, place)).into_iter().sum();
    let of_base = case.divergence(None, 2, 2);
    let expected = 0.5 * of_champion + 2.0 * of_base;
    for (device, tokens) in [(TrainDevice::Cpu, 64), (TrainDevice::Cpu, 1), (TrainDevice::CpuComposed, 64)] {
        let found = case.run(&case.policy, device, tokens);
        assert!((found.loss - expected).abs() < 1e-4 * expected, "{} instead of {expected}", found.loss);
        let figures: Vec<(String, f64)> = found.divergences.figures().collect();
        let values = [(FIGURE, expected), (CHAMPION_FIGURE, of_champion / 2.0), (BASE_FIGURE, of_base)];
        for ((name, value), (expected_name, expected)) in figures.iter().zip(values) {
            assert_eq!(name, expected_name);
            assert!((value - expected).abs() < 1e-4 * expected, "{name} is {value} instead of {expected}");
        }
    }
}

#[test]
fn its_gradient_is_its_slope() {
    let case = case();
    let gradients = case.run(&case.policy, TrainDevice::Cpu, 64).gradients;
    let squares =
        |gradients: &[Vec<f32>]| -> f64 { gradients.iter().flatten().map(|value| f64::from(*value).powi(2)).sum() };
    // One part of the adapter after the other, along its gradient, on which the slope is the gradient's norm.
    for part in [0, 1] {
        let along: Vec<Vec<f32>> = (0..gradients.len())
            .map(|at| if at % 2 == part { gradients[at].clone() } else { vec![0.0; gradients[at].len()] })
            .collect();
        let norm = squares(&along).sqrt();
        let at_distance = |distance: f64| {
            let factor = (distance / norm) as f32;
            let values = case.policy.values();
            let moved = values
                .iter()
                .zip(&along)
                .map(|(values, along)| values.iter().zip(along).map(|(value, slope)| value + factor * slope).collect());
            case.run(&case.policy.with(&moved.collect::<Vec<_>>()), TrainDevice::Cpu, 64).loss
        };
        let slope = (at_distance(0.01) - at_distance(-0.01)) / 0.02;
        assert!((slope - norm).abs() < 5e-3 * norm, "{slope} instead of {norm}");
    }
    let composed = case.run(&case.policy, TrainDevice::CpuComposed, 64).gradients;
    let differences: Vec<Vec<f32>> = gradients
        .iter()
        .zip(&composed)
        .map(|(one, other)| one.iter().zip(other).map(|(one, other)| one - other).collect())
        .collect();
    assert!(squares(&differences) < 1e-8 * squares(&gradients));
}

#[test]
fn at_the_teacher_itself_there_is_nothing_to_hold() {
    let case = case();
    let found = case.run(&case.champion, TrainDevice::Cpu, 64).divergences;
    let figures: Vec<(String, f64)> = found.figures().collect();
    assert!(figures[1].1.abs() < 1e-6 && figures[2].1 > 1e-4, "{figures:?}");
}

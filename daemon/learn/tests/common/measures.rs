//! Gradients against the measures that the goldens of TRL keep of them.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{flat, hash_uniform, number};

/// The seed of the probe of the first tensor.
const PROBE_SEED: u64 = 1000;

/// How far a value is off, as a share of what is expected.
pub(crate) fn error(got: f64, expected: f64) -> f64 {
    if got == expected { 0.0 } else { (got - expected).abs() / expected.abs() }
}

/// The greatest relative error of a norm, and of an estimate of ‖ours − theirs‖ / ‖theirs‖ from a random projection.
pub(crate) fn gradient_error(got: &BTreeMap<String, Tensor>, names: &[String], (norms, dots): (&[f64], &[f64])) -> f64 {
    assert!(got.keys().eq(names));
    let (mut squares, mut greatest) = (0.0, 0.0_f64);
    for ((name, gradient), (norm, dot)) in got.iter().zip(norms.iter().zip(dots)) {
        let gradient: Vec<f64> = flat(gradient).into_iter().map(f64::from).collect();
        let probed =
            (0..).zip(&gradient).map(|(i, value)| value * f64::from(hash_uniform(PROBE_SEED + number(name), i)));
        let projected: f64 = probed.sum();
        let own_norm = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
        greatest = greatest.max(error(own_norm, *norm));
        squares += ((projected - dot) * 12.0_f64.sqrt() / norm).powi(2);
    }
    greatest.max((squares / names.len() as f64).sqrt())
}

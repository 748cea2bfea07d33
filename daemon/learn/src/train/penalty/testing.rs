//! What the tests of penalties share.

use super::{Fisher, Penalty};
use crate::{
    adapter::{Adapter, LoraConfig, tiny_model},
    train::parameters::{Parameter, Parameters},
};

fn config() -> LoraConfig {
    LoraConfig { r: 2, alpha: 4.0, ..LoraConfig::default() }
}

pub(in crate::train) fn champion() -> Adapter {
    Adapter::init(&config(), &tiny_model(), 1).unwrap()
}

/// Parameters that have gone away from the champion's, each number by another way.
pub(in crate::train) fn elsewhere() -> Parameters {
    let start = Parameters::from_adapter(&champion()).unwrap();
    let moved = |(at, value): (usize, &f32)| value + ((at * 37 % 19) as f32 - 9.0) / 40.0;
    let values: Vec<Vec<f32>> =
        start.matrices.iter().map(|matrix| matrix.values.iter().enumerate().map(moved).collect()).collect();
    start.with(&values)
}

/// Fisher information of the champion, as large as this factor says.
pub(in crate::train) fn fisher(factor: f32) -> Fisher {
    let parameters = elsewhere();
    let values: Vec<Vec<f32>> =
        parameters.values().iter().map(|values| values.iter().map(|value| value * value * factor).collect()).collect();
    Fisher::new(&parameters.with(&values), champion().fingerprint().unwrap())
}

/// That a penalty is of this value here, and that what it adds to gradients is its slope.
#[track_caller]
pub(super) fn agrees_with_finite_differences(penalty: &dyn Penalty, parameters: &Parameters, value: f64) {
    agrees_with_finite_differences_of(penalty, parameters, value, |_, _| true);
}

/// The same for the numbers of matrices that are of interest.
#[track_caller]
pub(super) fn agrees_with_finite_differences_of(
    penalty: &dyn Penalty,
    parameters: &Parameters,
    value: f64,
    of_interest: impl Fn(&Parameter, usize) -> bool,
) {
    let zeros =
        || -> Vec<Vec<f32>> { parameters.matrices.iter().map(|matrix| vec![0.0; matrix.values.len()]).collect() };
    let mut gradients = zeros();
    let found = penalty.add(parameters, &mut gradients);
    assert!((found - value).abs() <= 1e-5 * value.abs(), "{found}, expected {value}");
    let step = 1e-2_f32;
    for matrix in (0..parameters.matrices.len()).step_by(5) {
        let of_matrix = &parameters.matrices[matrix];
        for at in (0..of_matrix.values.len()).step_by(11).filter(|at| of_interest(of_matrix, *at)) {
            let at_distance = |step: f32| {
                let mut values = parameters.values();
                values[matrix][at] += step;
                penalty.add(&parameters.with(&values), &mut zeros())
            };
            let slope = (at_distance(step) - at_distance(-step)) / (2.0 * f64::from(step));
            let got = f64::from(gradients[matrix][at]);
            assert!((got - slope).abs() <= 1e-3 * slope.abs().max(1e-3), "{got} at {matrix}:{at}, slope {slope}");
        }
    }
}

use super::parameters::Parameters;

/// The exponential moving average of the parameters after each step: what a run is validated by and ends with, where it keeps one.
/// With `decay` d it is `d · average + (1 − d) · parameters`, where d is (1 + t) / (10 + t) as long as that is less, t being the steps
/// so far: else the beginning would weigh on short runs (TensorFlow's `ExponentialMovingAverage` with `num_updates`; diffusers'
/// `EMAModel`).
pub(super) fn update(average: &mut [Vec<f32>], parameters: &Parameters, decay: f64, step: u64) {
    let step = step as f64;
    let rest = (1.0 - decay.min((1.0 + step) / (10.0 + step))) as f32;
    for (average, matrix) in average.iter_mut().zip(&parameters.matrices) {
        let values = average.iter_mut().zip(&matrix.values);
        values.for_each(|(average, value)| *average += rest * (value - *average));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, LoraConfig, tiny_model};

    #[test]
    fn is_the_average_by_hand() {
        let adapter = Adapter::init(&LoraConfig::default(), &tiny_model(), 1).unwrap();
        let start = Parameters::from_adapter(&adapter).unwrap();
        let (mut average, mut expected) = (start.values(), start.matrices[0].values[0]);
        for step in 1..=30_u8 {
            let moved: Vec<Vec<f32>> = start
                .values()
                .iter()
                .map(|values| values.iter().map(|value| value + f32::from(step)).collect())
                .collect();
            update(&mut average, &start.with(&moved), 0.6, u64::from(step));
            let decay = f32::min(0.6, (1.0 + f32::from(step)) / (10.0 + f32::from(step)));
            expected = decay * expected + (1.0 - decay) * moved[0][0];
        }
        assert!((average[0][0] - expected).abs() < 1e-4 * expected.abs(), "{} instead of {expected}", average[0][0]);
    }
}

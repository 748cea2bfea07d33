use rayon::prelude::*;

use crate::{element::Element, rows::TASK_VALUES, vectorized::vectorized};

/// Rounds values to another type.
///
/// # Panics
/// Where lengths differ.
pub fn convert<X: Element, Y: Element>(to: &mut [Y], from: &[X]) {
    assert_eq!(to.len(), from.len(), "a conversion keeps the number of values");
    to.par_chunks_mut(TASK_VALUES).zip(from.par_chunks(TASK_VALUES)).for_each(|(to, from)| convert_task(to, from));
}

vectorized! {
    /// As [`convert`], on the calling thread.
    pub(crate) fn convert_task<X: Element, Y: Element>(to: &mut [Y], from: &[X]) {
        if let Some(from) = Y::of_slice(from) {
            return to.copy_from_slice(from);
        }
        for (to, from) in to.iter_mut().zip(from) {
            *to = Y::from_f32(from.to_f32());
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::testing::noise;

    #[test]
    fn rounds_to_the_nearest() {
        let mut from = noise(5003, 1);
        from.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-40, f32::MAX, 1.003_906_2, 1.011_718_8]);
        let mut to = vec![bf16::ZERO; from.len()];
        convert(&mut to, &from);
        let expected: Vec<bf16> = from.iter().map(|value| bf16::from_f32(*value)).collect();
        assert_eq!(to, expected);
        let mut nan = [bf16::ZERO];
        convert(&mut nan, &[f32::from_bits(0x7f80_0001)]);
        assert!(nan[0].is_nan());
    }
}

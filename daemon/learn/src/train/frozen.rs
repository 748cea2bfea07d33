use std::ops::Range;

use super::parameters::Parameter;

/// The low-rank pairs that a run leaves as they are: so many first rows of A and columns of B in every layer. They have no gradient and
/// do not decay.
#[derive(Clone, Copy, Default)]
pub(super) struct Frozen {
    pub(super) rank: usize,
}

impl Frozen {
    /// The places of a matrix's numbers that are trained, in order. They are rows of A, or parts of the rows of B.
    pub(super) fn trained(self, matrix: &Parameter) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, rows) = (matrix.values.len(), matrix.shape.first().copied().unwrap_or(1));
        let width = all / rows.max(1);
        let (parts, length, skipped) = match (self.rank, matrix.is_down()) {
            (0, _) => (1, all, 0),
            (rank, true) => (1, all, rank * width),
            (rank, false) => (rows, width, rank),
        };
        (0..parts).map(move |part| part * length + skipped..(part + 1) * length)
    }

    /// Takes away the gradients of what is frozen.
    pub(super) fn still(self, matrices: &[Parameter], gradients: &mut [Vec<f32>]) {
        if self.rank == 0 {
            return;
        }
        for (matrix, gradient) in matrices.iter().zip(gradients) {
            let mut kept = vec![0.0; gradient.len()];
            for part in self.trained(matrix) {
                kept[part.clone()].copy_from_slice(&gradient[part]);
            }
            *gradient = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{TrainConfig, adamw::AdamW, penalty::testing::elsewhere};

    #[test]
    fn what_is_frozen_neither_moves_nor_decays_and_all_else_does_as_it_would() {
        let config = TrainConfig { weight_decay: 0.1, ..TrainConfig::default() };
        let stepped = |frozen: Frozen| {
            let (mut parameters, before) = (elsewhere(), elsewhere());
            let mut gradients: Vec<Vec<f32>> = before.values();
            frozen.still(&before.matrices, &mut gradients);
            let squares: f32 = gradients.iter().flatten().map(|slope| slope * slope).sum();
            AdamW::new(&parameters).update(&mut parameters, frozen, &gradients, 1e-2, &config);
            (parameters, squares)
        };
        let (before, (all, whole), (half, part)) =
            (elsewhere(), stepped(Frozen::default()), stepped(Frozen { rank: 1 }));
        assert!(part < whole, "a gradient that leads nowhere would count in the norm");
        for ((before, all), half) in before.matrices.iter().zip(&all.matrices).zip(&half.matrices) {
            let width = before.shape[1];
            for (at, value) in half.values.iter().enumerate() {
                let is_frozen = if before.is_down() { at < width } else { at % width == 0 };
                let expected = if is_frozen { before.values[at] } else { all.values[at] };
                assert_eq!(*value, expected, "{} at {at}", before.name());
            }
        }
    }
}

use std::cmp::Reverse;

use super::{Policy, by_key};
use crate::replay::Pool;

/// The rows whose loss per token rose most with the last training that was accepted: what is being forgotten comes first. Rows
/// that were not scored come last.
///
/// This is maximally interfered retrieval (Aljundi et al., "Online Continual Learning with Maximally Interfered Retrieval", 2019)
/// at the pace of cycles. There, an update on the batch that comes in is made on trial before each draw, and the rise is what that
/// would do to a row. A mix is drawn once, before any training, so the rise here is what the last training did: the loss of the
/// champion less that of the adapter that it was trained from.
pub(super) struct Loss;

impl Policy for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn reads_losses(&self) -> bool {
        true
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        by_key(pool, |place| Reverse(pool.loss_rise(place).filter(|rise| !rise.is_nan()).map(ordered)))
    }
}

/// A number that is ordered as the float is, whatever its sign.
fn ordered(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_ordered_as_they_are() {
        let values = [f64::NEG_INFINITY, -2.0, -1e-9, 0.0, 1e-300, 0.5, f64::INFINITY];
        assert!(values.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}

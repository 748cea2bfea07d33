use super::{Bounds, Correction, whole};

pub(super) struct SequenceTruncate;

impl Correction for SequenceTruncate {
    fn name(&self) -> &'static str {
        "sequence_truncate"
    }

    fn weights(&self, differences: &[f64], bounds: Bounds) -> Vec<f64> {
        whole(differences, |weight| bounds.truncate(weight))
    }
}

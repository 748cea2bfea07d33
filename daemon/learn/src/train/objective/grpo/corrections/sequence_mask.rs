use super::{Bounds, Correction, whole};

pub(super) struct SequenceMask;

impl Correction for SequenceMask {
    fn name(&self) -> &'static str {
        "sequence_mask"
    }

    fn weights(&self, differences: &[f64], bounds: Bounds) -> Vec<f64> {
        whole(differences, |weight| bounds.mask(weight))
    }
}

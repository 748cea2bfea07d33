use super::{Bounds, Correction, per_token};

pub(super) struct TokenMask;

impl Correction for TokenMask {
    fn name(&self) -> &'static str {
        "token_mask"
    }

    fn weights(&self, differences: &[f64], bounds: Bounds) -> Vec<f64> {
        per_token(differences, |weight| bounds.mask(weight))
    }
}

use super::{Bounds, Correction, per_token};

pub(super) struct TokenTruncate;

impl Correction for TokenTruncate {
    fn name(&self) -> &'static str {
        "token_truncate"
    }

    fn weights(&self, differences: &[f64], bounds: Bounds) -> Vec<f64> {
        per_token(differences, |weight| bounds.truncate(weight))
    }
}

use super::{Bounds, Correction};

pub(super) struct None;

impl Correction for None {
    fn name(&self) -> &'static str {
        "none"
    }

    fn weights(&self, differences: &[f64], _bounds: Bounds) -> Vec<f64> {
        vec![1.0; differences.len()]
    }
}

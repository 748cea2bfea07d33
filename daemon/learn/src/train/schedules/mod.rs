//! How the learning rate goes on after the warm-up: a file each, and a line in [`Schedule`].

mod constant;
mod cosine;
mod linear;

use super::choice::choice;

choice! {
    /// How the learning rate goes on after the warm-up, as transformers names and defines it (`optimization.py`).
    Schedule: Course {
        /// Falls to zero along a line.
        Linear(linear::Linear),
        /// Falls to zero along half a cosine.
        Cosine(cosine::Cosine),
        /// Stays.
        Constant(constant::Constant),
    }
}

/// A course of the learning rate.
pub(in crate::train) trait Course: Sync {
    /// Its name in configurations and fingerprints.
    fn name(&self) -> &'static str;

    /// What the highest rate is multiplied by where this share of the steps after the warm-up is done, from 0 to 1.
    fn factor(&self, progress: f64) -> f64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for schedule in Schedule::ALL {
            assert_eq!(serde_json::from_value::<Schedule>(schedule.as_str().into()).unwrap(), *schedule);
        }
    }
}

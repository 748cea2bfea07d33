//! What advantages are divided by: a file each, and a line in [`ScaleRewards`].

mod batch;
mod group;
mod none;

use crate::train::choice::choice;

choice! {
    /// What advantages are divided by.
    ScaleRewards: Scale {
        /// The standard deviation of the group's rewards.
        Group(group::Group),
        /// That of all rewards of the generation.
        Batch(batch::Batch),
        /// Nothing.
        None(none::None),
    }
}

/// What keeps a small standard deviation from blowing advantages up, as in TRL.
const EPSILON: f64 = 1e-4;

/// A way to scale.
pub(in crate::train) trait Scale: Sync {
    /// Its name in configurations and fingerprints.
    fn name(&self) -> &'static str;

    /// What the advantages of a group are divided by.
    fn divisor(&self, deviations: Deviations) -> f64;
}

/// Standard deviations of rewards, with Bessel's correction.
#[derive(Clone, Copy)]
pub(in crate::train) struct Deviations {
    pub(super) group: f64,
    /// Over all groups of the generation.
    pub(super) batch: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for scale in ScaleRewards::ALL {
            assert_eq!(serde_json::from_value::<ScaleRewards>(scale.as_str().into()).unwrap(), *scale);
        }
    }
}

use perennial_types::Sample;

use super::Origin;

/// A sample of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct MixRow {
    /// What is trained on.
    pub sample: Sample,
    /// Where it comes from.
    pub origin: Origin,
}

use perennial_types::Sample;

use super::Origin;

/// A sample of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct MixRow {
    /// The sample.
    pub sample: Sample,
    /// Where it comes from.
    pub origin: Origin,
}

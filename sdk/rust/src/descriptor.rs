use std::ops::RangeInclusive;

/// Declares one part of a score.
#[derive(Clone, Debug, PartialEq)]
pub struct PartSpec {
    /// Lower-case letters, digits, `-` and `_`: it becomes a metric's label.
    pub name: String,
    /// The values that it can take.
    pub range: RangeInclusive<f64>,
    /// One line of explanation.
    pub help: String,
}

/// What a plugin says about itself. Rewards are in 0 ..= 1 unless [`Descriptor::range`] says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The plugin's own version, as MAJOR.MINOR.PATCH; `env!("CARGO_PKG_VERSION")` is right.
    pub version: String,
    /// One line of explanation.
    pub help: String,
    /// The rewards that it gives.
    pub range: RangeInclusive<f64>,
    /// All parts that a score may name.
    pub parts: Vec<PartSpec>,
}

impl Descriptor {
    /// A plugin with rewards in 0 ..= 1 and no parts yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), help: help.into(), range: 0.0..=1.0, parts: Vec::new() }
    }

    /// The least and greatest reward that it gives.
    #[must_use]
    pub fn range(self, range: RangeInclusive<f64>) -> Self {
        Self { range, ..self }
    }

    /// Declares a part.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, range: RangeInclusive<f64>, help: impl Into<String>) -> Self {
        self.parts.push(PartSpec { name: name.into(), range, help: help.into() });
        self
    }
}

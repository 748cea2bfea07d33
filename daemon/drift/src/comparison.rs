//! Two windows as one detector sees them.

/// How the score of two windows depends on which of their units are drawn. The units are numbered: those of the reference first,
/// then those of the current window, then, where there is one, the ghost: a unit that is as nothing in the reference is.
pub struct Comparison {
    /// Units of the reference.
    pub reference: usize,
    /// Units of the current window.
    pub current: usize,
    /// How the score is spread where nothing moved.
    pub tail: Tail,
    /// The least score that is worth telling, however sure it is.
    pub floor: f64,
    /// Whether there is a ghost.
    pub has_ghost: bool,
    /// The score of units drawn as a reference and units drawn as a current window.
    pub(crate) score: Box<Score>,
}

/// The score of units drawn as a reference and units drawn as a current window.
pub(crate) type Score = dyn Fn(&[u32], &[u32]) -> f64;

/// How a score is spread where nothing moved, far out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// As a sum of squares, whose tail is exponential.
    Exponential,
    /// As a difference of means, whose square has such a tail.
    Gaussian,
}

impl Comparison {
    /// The score of the two windows as they are.
    pub fn observed(&self) -> f64 {
        let (reference, all) = (self.reference as u32, (self.reference + self.current) as u32);
        let units = |units: std::ops::Range<u32>| units.collect::<Vec<u32>>();
        (self.score)(&units(0..reference), &units(reference..all))
    }
}

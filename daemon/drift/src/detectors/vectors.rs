//! The vectors of two views, and sums of them.

use crate::View;

/// Vectors of one length, one after the other.
pub(super) struct Vectors {
    pub(super) dim: usize,
    pub(super) values: Vec<f32>,
    /// How many are of the reference, and of the current window.
    pub(super) counts: [usize; 2],
}

impl Vectors {
    /// Those that are known; `None` where a view has none, or they are of two lengths.
    pub(super) fn of(reference: &View<'_>, current: &View<'_>) -> Option<Self> {
        let known = |view: &View<'_>| view.rows.iter().filter(|row| row.vector.is_some()).count();
        let counts = [known(reference), known(current)];
        let vectors = || reference.rows.iter().chain(&current.rows).filter_map(|row| row.vector.as_deref());
        let dim = vectors().next().map(<[f32]>::len)?;
        let fits = dim > 0 && vectors().all(|vector| vector.len() == dim) && counts.iter().all(|count| *count > 0);
        fits.then(|| Self { dim, values: vectors().flatten().copied().collect(), counts })
    }

    pub(super) fn vector(&self, unit: u32) -> &[f32] {
        &self.values[unit as usize * self.dim..][..self.dim]
    }

    /// The mean of the drawn ones.
    pub(super) fn mean(&self, drawn: &[u32]) -> Vec<f64> {
        let mut sum = vec![0.0_f32; self.dim];
        for unit in drawn {
            sum.iter_mut().zip(self.vector(*unit)).for_each(|(sum, value)| *sum += value);
        }
        sum.into_iter().map(|sum| f64::from(sum) / drawn.len() as f64).collect()
    }
}

pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

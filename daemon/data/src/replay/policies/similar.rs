use perennial_types::SampleId;

use super::{Policy, by_key};
use crate::replay::Pool;

/// The rows nearest to what is new by their embeddings: what the new samples are most likely to overwrite. The retrieval of
/// de Masson d'Autume, Ruder, Kong and Yogatama, "Episodic Memory in Lifelong Language Learning" (2019), as replay.
pub(super) struct Similar;

impl Policy for Similar {
    fn name(&self) -> &'static str {
        "similar"
    }

    fn reads_space(&self) -> bool {
        true
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        let ids: Vec<SampleId> = pool.rows().iter().map(|row| row.id).collect();
        let distances = pool.space().map(|space| space.to_new(&ids)).unwrap_or_default();
        by_key(pool, |place| ordered(distances.get(place).copied().unwrap_or(f32::INFINITY)))
    }
}

/// A distance as a number that has an order: the bits of floats that are not negative are ordered as they are.
pub(super) fn ordered(distance: f32) -> u32 {
    if distance.is_nan() { u32::MAX } else { distance.max(0.0).to_bits() }
}

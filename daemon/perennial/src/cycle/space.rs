//! Where the rows of the replay buffer lie, for the policies that ask.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_data::replay::{ReplayBuffer, ReplayRow, Space};
use perennial_learn::embed;
use perennial_types::{Fingerprinter, SampleId};

use crate::ports::Context;

/// Rows whose embeddings are read for a draw, which bounds its memory: a random part of what may be replayed.
const ROWS_MAX: usize = 20_000;

/// New samples that rows are compared with: a random part of them.
const NEW_MAX: usize = 64;

/// The embeddings of rows that may be replayed, and of new samples.
pub(super) struct BufferSpace {
    vectors: BTreeMap<SampleId, Vec<f32>>,
    new: Vec<Vec<f32>>,
}

impl BufferSpace {
    /// Reads embeddings for these candidates, of which no more than those that it has are left.
    pub(super) fn read(
        context: &Context,
        buffer: &ReplayBuffer,
        candidates: &mut Vec<ReplayRow>,
        new: &[SampleId],
        seed: u64,
    ) -> anyhow::Result<Self> {
        let lot = |id: &SampleId| {
            Fingerprinter::new()
                .part(b"perennial replay space 1")
                .part(&seed.to_le_bytes())
                .part(id.0.as_bytes())
                .finish()
        };
        if candidates.len() > ROWS_MAX {
            candidates.sort_by_cached_key(|row| lot(&row.id));
            candidates.truncate(ROWS_MAX);
        }
        let mut new = new.to_vec();
        new.sort_by_cached_key(lot);
        new.truncate(NEW_MAX);
        let ids: Vec<SampleId> = candidates.iter().map(|row| row.id).collect();
        let read = |ids: &[SampleId]| context.runtime.block_on(buffer.vectors(ids)).context("the replay buffer");
        Ok(Self { vectors: read(&ids)?, new: read(&new)?.into_values().collect() })
    }

    fn vectors(&self, rows: &[SampleId]) -> Vec<&[f32]> {
        rows.iter().map(|row| self.vectors.get(row).map_or(&[][..], Vec::as_slice)).collect()
    }
}

impl Space for BufferSpace {
    fn to_new(&self, rows: &[SampleId]) -> Vec<f32> {
        let new: Vec<&[f32]> = self.new.iter().map(Vec::as_slice).collect();
        let vectors = self.vectors(rows);
        let nearest = embed::nearest(&vectors, &new);
        let known = vectors.iter().zip(nearest);
        known.map(|(vector, near)| near.filter(|_| !vector.is_empty()).map_or(f32::INFINITY, |(_, far)| far)).collect()
    }

    fn to_row(&self, row: SampleId, rows: &[SampleId]) -> Vec<f32> {
        let Some(from) = self.vectors.get(&row) else { return vec![f32::INFINITY; rows.len()] };
        let vectors = self.vectors(rows);
        let distances = embed::distances(from, &vectors);
        vectors.iter().zip(distances).map(|(vector, far)| if vector.is_empty() { f32::INFINITY } else { far }).collect()
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;

    use super::*;

    #[test]
    fn rows_without_an_embedding_are_far_from_all() {
        let id = |n: u8| SampleId(Fingerprint::of(&[n]));
        let vectors = BTreeMap::from([(id(0), vec![0.0, 0.0]), (id(1), vec![3.0, 4.0])]);
        let space = BufferSpace { vectors, new: vec![vec![0.0, 1.0], vec![3.0, 3.0]] };
        assert_eq!(space.to_new(&[id(0), id(1), id(2)]), [1.0, 1.0, f32::INFINITY]);
        assert_eq!(space.to_row(id(0), &[id(0), id(1), id(2)]), [0.0, 25.0, f32::INFINITY]);
        assert_eq!(space.to_row(id(2), &[id(0)]), [f32::INFINITY]);
    }
}

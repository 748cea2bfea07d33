//! Which samples are compared, and where they lie.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use perennial_drift::Batch;
use perennial_registry::{Registry, SampleRecord, SourceCounts};
use perennial_types::SampleId;

use crate::{
    ports::Context,
    replay::{self, BufferLock},
};

/// How many samples the reference holds at most. They bound time and memory; more would hardly lower a threshold.
pub(super) const REFERENCE_SAMPLES_MAX: usize = 1000;

/// How many samples the current window holds at most: enough for a steady mix, few enough to follow a change within days.
pub(super) const CURRENT_SAMPLES_MAX: usize = 1000;

/// How many files and requests of either window are looked at: the last.
const BATCHES_MAX: usize = 1000;

/// How many samples that may be replayed are known to be near to at most.
const KNOWN_MAX: usize = 2000;

/// Where some of the samples lie that may be replayed, by id.
#[derive(Default)]
pub(super) struct Known(pub(super) BTreeMap<SampleId, Vec<f32>>);

impl Known {
    /// Of the samples that may be replayed, and of `also`, a random part.
    pub(super) fn read(context: &Context, buffer: &BufferLock, also: &[SampleId]) -> anyhow::Result<Self> {
        let mut ids: BTreeSet<SampleId> = context.registry.replayable_ids(KNOWN_MAX)?.into_iter().collect();
        ids.extend(also);
        let ids: Vec<SampleId> = ids.into_iter().take(KNOWN_MAX).collect();
        Ok(Self(read(context, buffer, &ids)?))
    }
}

/// The records of these samples, or of the first by their ids.
pub(super) fn part(registry: &Registry, ids: &[SampleId]) -> anyhow::Result<Vec<SampleRecord>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.truncate(REFERENCE_SAMPLES_MAX);
    Ok(registry.sample_records(&ids)?)
}

/// The embeddings of these samples, of those that the replay buffer holds.
pub(super) fn vectors(
    context: &Context,
    buffer: &BufferLock,
    records: &[SampleRecord],
) -> anyhow::Result<BTreeMap<SampleId, Vec<f32>>> {
    let indexed = records.iter().filter(|record| record.indexed);
    read(context, buffer, &indexed.map(|record| record.id).collect::<Vec<_>>())
}

fn read(context: &Context, buffer: &BufferLock, ids: &[SampleId]) -> anyhow::Result<BTreeMap<SampleId, Vec<f32>>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let _turn = buffer.hold();
    let Some(buffer) = replay::find(context)? else { return Ok(BTreeMap::new()) };
    context.runtime.block_on(buffer.vectors(ids)).context("the replay buffer")
}

/// What was taken and refused until then: more than while the reference's samples came in, since a share of few rows is known badly.
pub(super) fn batches_until(registry: &Registry, until_ms: i64) -> anyhow::Result<Vec<Batch>> {
    batches(registry, i64::MIN, until_ms)
}

/// What was taken and refused since then.
pub(super) fn batches_since(registry: &Registry, after_ms: i64) -> anyhow::Result<Vec<Batch>> {
    batches(registry, after_ms, i64::MAX)
}

fn batches(registry: &Registry, after_ms: i64, until_ms: i64) -> anyhow::Result<Vec<Batch>> {
    let sources = registry.sources_taken(after_ms, until_ms, BATCHES_MAX)?;
    Ok(sources.into_iter().map(|SourceCounts { rows, refused }| Batch { rows, refused }).collect())
}

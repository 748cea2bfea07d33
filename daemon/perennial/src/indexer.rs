//! Stored samples into the replay buffer, in the background: embedding never holds ingest up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use perennial_data::{
    replay::{self as policies, ReplayBuffer, ReplayEntry, ReplayRow},
    segment,
};
use perennial_learn::embed::Embedder;
use perennial_registry::SampleRecord;
use perennial_types::{Domain, Sample, SampleId};

use crate::{
    config::Config,
    engine::Engine,
    ports::{Context, Indexer, Stop},
    replay::{self, BufferLock, Histories},
    state::StateDir,
    telemetry::BufferSized,
};

/// Samples that are embedded, indexed and marked together.
const BATCH: usize = 512;

/// How long LanceDB keeps versions that a search could still be reading.
const VERSIONS_KEPT: Duration = Duration::from_secs(60);

/// [`Indexer`] of a state directory.
pub(crate) struct StateIndexer {
    context: Context,
    engine: Engine,
    lock: BufferLock,
}

impl StateIndexer {
    pub(crate) fn new(context: Context, engine: Engine, lock: BufferLock) -> Self {
        Self { context, engine, lock }
    }

    fn index_batch(
        &self,
        records: &[SampleRecord],
        embedder: &Embedder,
        buffer: &ReplayBuffer,
        histories: &Histories,
    ) -> anyhow::Result<()> {
        let samples = read_samples(&self.context.state, records)?;
        let texts: Vec<String> =
            records.iter().filter_map(|record| Some(samples.get(&record.id)?.body.text())).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embeddings = embedder.embed(&texts)?;
        let found = records.iter().filter(|record| samples.contains_key(&record.id));
        let entries = found.zip(embeddings).map(|(record, embedding)| {
            let fresh = || ReplayRow::new(record.id, record.domain.clone(), record.arrived_ms, &*record.segment);
            ReplayEntry { row: histories.get(&record.id).cloned().unwrap_or_else(fresh), embedding }
        });
        self.context.runtime.block_on(buffer.upsert(entries.collect()))?;
        let ids: Vec<SampleId> = records.iter().map(|record| record.id).collect();
        Ok(self.context.registry.mark_indexed(&ids)?)
    }

    /// Lets go of what the policy does not keep within the capacity. The samples stay in their segments.
    fn trim(&self, config: &Config, buffer: &ReplayBuffer) -> anyhow::Result<()> {
        let runtime = &self.context.runtime;
        let mut rows = runtime.block_on(buffer.rows())?;
        let capacity = usize::try_from(config.replay.capacity).unwrap_or(usize::MAX);
        if rows.len() > capacity {
            let kept = policies::keep(config.replay.policy.policy(), &rows, capacity, config.cycle.seed);
            let gone: BTreeSet<SampleId> = rows.iter().map(|row| row.id).filter(|id| !kept.contains(id)).collect();
            runtime.block_on(buffer.delete(&gone))?;
            rows.retain(|row| kept.contains(&row.id));
        }
        runtime.block_on(buffer.optimize(VERSIONS_KEPT))?;
        let mut domains: BTreeMap<Domain, u64> = BTreeMap::new();
        for row in rows {
            *domains.entry(row.domain).or_default() += 1;
        }
        let domains: Vec<(Domain, u64)> = domains.into_iter().collect();
        self.context.telemetry.emit(BufferSized { domains: &domains });
        Ok(())
    }
}

impl Indexer for StateIndexer {
    fn index(&self, stop: &Stop) -> anyhow::Result<u64> {
        if self.context.registry.unindexed_count()? == 0 {
            return Ok(0);
        }
        let _turn = self.lock.hold();
        let config = self.context.config.current();
        let model = self.engine.model(&config.model)?;
        let (buffer, histories) = replay::open(&self.context, &self.context.registry, &config.replay, &model)?;
        let embedder = Embedder::new(&model, replay::method(&config.replay, &model))?;
        let mut indexed = 0;
        while !stop.is_set() {
            let records = self.context.registry.unindexed(BATCH)?;
            if records.is_empty() {
                break;
            }
            self.index_batch(&records, &embedder, &buffer, &histories)?;
            indexed += records.len() as u64;
            self.context.telemetry.beat();
        }
        self.trim(&config, &buffer)?;
        Ok(indexed)
    }
}

/// The samples of these records, read from their segments.
pub(crate) fn read_samples<'a>(
    state: &StateDir,
    records: impl IntoIterator<Item = &'a SampleRecord>,
) -> anyhow::Result<BTreeMap<SampleId, Sample>> {
    let mut wanted: BTreeMap<&str, BTreeSet<SampleId>> = BTreeMap::new();
    for record in records {
        wanted.entry(&record.segment).or_default().insert(record.id);
    }
    let mut samples = BTreeMap::new();
    for (path, ids) in wanted {
        let stored = segment::read_segment(&state.root().join(path), Some(&ids))?;
        samples.extend(stored.into_iter().map(|stored| (stored.sample.id, stored.sample)));
    }
    Ok(samples)
}

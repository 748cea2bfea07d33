//! Stored samples into the replay buffer, in the background: embedding never holds ingest up.

use std::{collections::BTreeMap, time::Duration};

use perennial_data::replay::{self as policies, ReplayBuffer, ReplayEntry, ReplayRow};
use perennial_learn::embed::Embedder;
use perennial_registry::SampleRecord;
use perennial_types::{Domain, SampleId};

use crate::{
    config::Config,
    engine::Engine,
    failure::caught,
    ports::{Context, Indexer, Stop},
    replay::{self, BufferLock, Histories, Opened},
    set_aside,
    stored::read_samples,
    telemetry::BufferSized,
};

/// Samples that are embedded, indexed and marked together.
const BATCH: usize = 512;

/// A text that every model can embed.
const PROBE: &str = "a";

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
        let texts: Vec<(SampleId, String)> = samples.iter().map(|(id, sample)| (*id, sample.body.text())).collect();
        let mut embedded = Embedded::default();
        embedded.add(&texts, &|texts: &[&str]| embedder.embed_counting(texts).map_err(|error| error.to_string()));
        let Embedded { mut vectors, refused } = embedded;
        let entries = records.iter().filter_map(|record| {
            let (embedding, tokens) = vectors.remove(&record.id)?;
            let fresh = || ReplayRow::new(record.id, record.domain.clone(), record.arrived_ms, &*record.segment);
            let known = histories.get(&record.id).cloned().unwrap_or_else(fresh);
            Some(ReplayEntry { row: ReplayRow { tokens: u32::try_from(tokens).ok(), ..known }, embedding })
        });
        self.context.runtime.block_on(buffer.upsert(entries.collect()))?;
        let indexed = records.iter().map(|record| record.id).filter(|id| !refused.contains_key(id));
        let ids: Vec<SampleId> = indexed.collect();
        self.context.registry.mark_indexed(&ids)?;
        set_aside::run(&self.context, &refused, None)
    }

    /// Lets go of what the policy does not keep within the capacity, of the samples that may be replayed. They stay in their
    /// segments.
    fn trim(&self, config: &Config, buffer: &ReplayBuffer, keep_seed: u64) -> anyhow::Result<()> {
        let runtime = &self.context.runtime;
        let mut rows = runtime.block_on(buffer.rows())?;
        let capacity = usize::try_from(config.replay.capacity).unwrap_or(usize::MAX);
        if rows.len() > capacity {
            let replayable = self.context.registry.replayable()?.into_iter().map(|record| record.id).collect();
            let policy = config.replay.policy.policy();
            let gone = policies::surplus(policy, &rows, &replayable, capacity, keep_seed);
            runtime.block_on(buffer.delete(&gone))?;
            rows.retain(|row| !gone.contains(&row.id));
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

    /// As [`Indexer::index`], and looks at the buffer also where nothing waits: whoever draws from it needs one that was made
    /// with the base model and the settings of the moment, and is full.
    pub(crate) fn fill(&self, stop: &Stop) -> anyhow::Result<u64> {
        let _turn = self.lock.hold();
        let config = self.context.config.current();
        let model = self.engine.model(&config.model)?;
        let Opened { buffer, histories, keep_seed } =
            replay::open(&self.context, &self.context.registry, &config, &model)?;
        // What comes in meanwhile is for the next call: rows that never cease to come must not keep a cycle from its mix.
        let waiting = self.context.registry.unindexed_count()?;
        if waiting == 0 {
            return Ok(0);
        }
        let embedder = Embedder::new(&model, replay::method(&config.replay, &model.config))?;
        // What is wrong with the model is no fault of the samples.
        embedder.embed(&[PROBE])?;
        let mut indexed = 0;
        while indexed < waiting && !stop.is_set() {
            let records = self.context.registry.unindexed(BATCH)?;
            if records.is_empty() {
                break;
            }
            self.index_batch(&records, &embedder, &buffer, &histories)?;
            indexed += records.len() as u64;
            self.context.telemetry.beat();
        }
        self.trim(&config, &buffer, keep_seed)?;
        Ok(indexed)
    }
}

impl Indexer for StateIndexer {
    fn index(&self, stop: &Stop) -> anyhow::Result<u64> {
        let config = self.context.config.current();
        // The model is not read for nothing.
        if self.context.registry.unindexed_count()? == 0 && !replay::is_stale(&self.context, &config.replay)? {
            return Ok(0);
        }
        self.fill(stop)
    }
}

/// Turns texts into vectors and their numbers of tokens, all of them or none.
type Embed<'a> = dyn Fn(&[&str]) -> Result<Vec<(Vec<f32>, usize)>, String> + 'a;

/// What became of texts that were to be embedded.
#[derive(Default)]
struct Embedded {
    vectors: BTreeMap<SampleId, (Vec<f32>, usize)>,
    /// Those that have no vector, with the reason.
    refused: BTreeMap<SampleId, String>,
}

impl Embedded {
    /// Embeds texts together; where that fails, even by a panic, in halves, until those to blame stand alone.
    fn add(&mut self, texts: &[(SampleId, String)], embed: &Embed<'_>) {
        let together: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let outcome = caught(|| embed(&together)).unwrap_or_else(|panicked| Err(panicked.to_string()));
        match (outcome, texts) {
            (Ok(vectors), texts) => self.vectors.extend(texts.iter().map(|(id, _)| *id).zip(vectors)),
            (Err(_), []) => {}
            (Err(reason), [(id, _)]) => {
                self.refused.insert(*id, format!("it cannot be embedded: {reason}"));
            }
            (Err(_), texts) => {
                let (first, second) = texts.split_at(texts.len() / 2);
                self.add(first, embed);
                self.add(second, embed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;

    use super::*;

    #[test]
    fn a_text_that_fails_or_panics_costs_itself_alone() {
        let id = |number: usize| SampleId(Fingerprint::of(&number.to_le_bytes()));
        let texts: Vec<(SampleId, String)> = (0..20).map(|number| (id(number), number.to_string())).collect();
        let embed = |texts: &[&str]| {
            assert!(!texts.contains(&"7"), "row 768 of a weight of 768");
            if texts.contains(&"13") { Err("no".to_owned()) } else { Ok(vec![(vec![1.0], 1); texts.len()]) }
        };
        let mut embedded = Embedded::default();
        embedded.add(&texts, &embed);
        assert_eq!(embedded.vectors.len(), 18);
        let refused: Vec<&str> = [7, 13].map(|number| embedded.refused[&id(number)].as_str()).into();
        assert!(refused[0].ends_with("row 768 of a weight of 768") && refused[1].ends_with("no"), "{refused:?}");
    }
}

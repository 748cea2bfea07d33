use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use perennial_data::{
    segment::{self, Stored},
    split::{self, DomainSplit, Lot, Split, SplitConfig},
};
use perennial_registry::{NewSample, NewSegment, Source as LedgerEntry};
use perennial_types::{Domain, Fingerprint, Sample, SampleId};
use tracing::info;

use super::is_full;
use crate::{
    answers::Untrained, clock, config::Ingest, ports::Context, questions, telemetry::SetAsideCount, told::told,
    untrained,
};

/// Samples of one source that are to be stored.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub(super) samples: Vec<Sample>,
    /// Their text, in bytes.
    pub(super) bytes: usize,
    /// The source's entry, with its last batch. Its counts are those of the batches before.
    pub(super) ledger: Option<LedgerEntry>,
}

impl Batch {
    pub(super) fn push(&mut self, sample: Sample) {
        self.bytes += sample.body.text().len();
        self.samples.push(sample);
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) held_out: u64,
    pub(super) domains: BTreeMap<Domain, u64>,
    /// Those that no stage of training learns from.
    pub(super) untrained: Vec<Untrained>,
}

/// Why batches were not stored: nothing of them was, and they may be tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct CommitError {
    pub(super) text: String,
    /// Whether it was for want of room.
    pub(super) full: bool,
}

impl From<anyhow::Error> for CommitError {
    fn from(error: anyhow::Error) -> Self {
        Self { text: told(&error), full: is_full(&error) }
    }
}

/// Stores batches: whoever calls it may do so from any thread.
pub(super) struct Store {
    context: Context,
    /// Samples that somebody is storing now, and what they ask: whoever has the same one waits, for it is a duplicate only
    /// once it is stored, and whoever asks the same waits to follow to its side of the split.
    claimed: Mutex<BTreeSet<Fingerprint>>,
    released: Condvar,
    /// The samples of each domain, since counting them anew takes as long as there are samples.
    domains: Mutex<Option<BTreeMap<Domain, DomainSplit>>>,
}

impl Store {
    pub(super) fn new(context: Context) -> Self {
        Self { context, claimed: Mutex::default(), released: Condvar::new(), domains: Mutex::default() }
    }

    /// Stores these batches as one segment and in one transaction, or none of them.
    pub(super) fn commit(&self, batches: Vec<Batch>) -> Result<Vec<Committed>, CommitError> {
        let mut committed = vec![Committed::default(); batches.len()];
        let (mut claims, mut fresh, mut ledger) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (at, batch) in batches.into_iter().enumerate() {
            ledger.extend(batch.ledger.map(|entry| (at, entry)));
            for sample in batch.samples {
                if claims.insert(sample.id.0) {
                    fresh.push(Fresh { at, question: sample.body.question_fingerprint(), sample });
                } else if let Some(outcome) = committed.get_mut(at) {
                    outcome.duplicates += 1;
                }
            }
        }
        claims.extend(fresh.iter().map(|fresh| fresh.question));
        let _claim = self.claim(claims);
        self.drop_known(&mut fresh, &mut committed)?;
        let (stored, questions): (Vec<Stored>, Vec<Fingerprint>) =
            self.split(fresh, &mut committed)?.into_iter().unzip();
        for (at, entry) in &mut ledger {
            let Some(outcome) = committed.get(*at) else { continue };
            entry.stored += outcome.accepted;
            entry.duplicates += outcome.duplicates;
        }
        let ledger: Vec<LedgerEntry> = ledger.into_iter().map(|(_, entry)| entry).collect();
        self.write(&stored, &questions, &ledger)?;
        self.count(&stored);
        self.context.telemetry.beat();
        Ok(committed)
    }

    fn drop_known(&self, fresh: &mut Vec<Fresh>, committed: &mut [Committed]) -> anyhow::Result<()> {
        let ids: Vec<SampleId> = fresh.iter().map(|fresh| fresh.sample.id).collect();
        let known = self.context.registry.known(&ids)?;
        // Whoever sends a row again that was set aside wants it tried again.
        let taken_back = self.context.registry.take_back(&known)?;
        if taken_back > 0 {
            info!(samples = taken_back, "samples that were set aside are sent again, and wait");
            self.context.telemetry.emit(SetAsideCount(self.context.registry.set_aside_count()?));
        }
        fresh.retain(|Fresh { at, sample, .. }| {
            let is_known = known.contains(&sample.id);
            if let Some(outcome) = committed.get_mut(*at).filter(|_| is_known) {
                outcome.duplicates += 1;
            }
            !is_known
        });
        Ok(())
    }

    /// Chooses which samples are held out, and counts what each batch brings.
    fn split(&self, fresh: Vec<Fresh>, committed: &mut [Committed]) -> anyhow::Result<Vec<(Stored, Fingerprint)>> {
        questions::fill(&self.context)?;
        let config = self.context.config.current();
        let Ingest { held_out_fraction: fraction, held_out_min, .. } = config.ingest;
        let split = SplitConfig { fraction, min_per_domain: held_out_min as usize };
        let lots: Vec<Lot> = fresh.iter().map(Fresh::lot).collect();
        let sides = self.context.registry.sides_of_questions(&lots.iter().map(|lot| lot.question).collect())?;
        let domains = {
            let mut known = lock(&self.domains);
            match &*known {
                Some(counts) => counts.clone(),
                None => known.insert(self.counts()?).clone(),
            }
        };
        let chosen = split::choose_held_out(&split, &lots, &Split { domains, sides });
        let mut stored = Vec::with_capacity(fresh.len());
        let mut kinds = vec![BTreeMap::new(); committed.len()];
        for Fresh { at, question, sample } in fresh {
            let held_out = chosen.contains(&sample.id);
            if let Some(outcome) = committed.get_mut(at) {
                outcome.accepted += 1;
                outcome.held_out += u64::from(held_out);
                *outcome.domains.entry(sample.domain.clone()).or_default() += 1;
            }
            if let Some(kinds) = kinds.get_mut(at).filter(|_| !held_out) {
                *kinds.entry(sample.body.kind()).or_default() += 1;
            }
            stored.push((Stored { sample, held_out }, question));
        }
        for (outcome, kinds) in committed.iter_mut().zip(kinds) {
            outcome.untrained = untrained::among(kinds, &config);
        }
        Ok(stored)
    }

    fn counts(&self) -> anyhow::Result<BTreeMap<Domain, DomainSplit>> {
        let counts = self.context.registry.held_out_counts()?.into_iter().map(|(domain, counts)| {
            (domain, DomainSplit { held_out: counts.held_out as usize, training: counts.training as usize })
        });
        Ok(counts.collect())
    }

    fn count(&self, stored: &[Stored]) {
        let mut known = lock(&self.domains);
        let Some(counts) = &mut *known else { return };
        for stored in stored {
            let counts = counts.entry(stored.sample.domain.clone()).or_default();
            *(if stored.held_out { &mut counts.held_out } else { &mut counts.training }) += 1;
        }
    }

    fn write(&self, stored: &[Stored], questions: &[Fingerprint], ledger: &[LedgerEntry]) -> anyhow::Result<()> {
        let Context { registry, state, .. } = &self.context;
        if stored.is_empty() && ledger.is_empty() {
            return Ok(());
        }
        if stored.is_empty() {
            return Ok(registry.take_in(None, ledger, clock::now_ms())?);
        }
        let file = segment::write_segment(state.root(), stored)?;
        let created_ms = clock::now_ms();
        let segment = NewSegment {
            path: file.path,
            fingerprint: file.fingerprint,
            rows: file.rows,
            bytes: file.bytes,
            created_ms,
        };
        let samples: Vec<NewSample> = stored.iter().zip(questions).map(catalogued).collect();
        let added = registry.take_in(Some((&segment, &samples)), ledger, created_ms);
        // Nobody will ever read a segment that did not get into the catalogue. Where even that cannot be told, it stays for
        // the next start.
        if added.is_err() && matches!(registry.has_segment(&segment.path), Ok(false)) {
            let _ = fs::remove_file(state.root().join(&segment.path));
        }
        Ok(added?)
    }

    /// Waits until nobody else stores one of these samples, or another that asks the same.
    fn claim(&self, names: BTreeSet<Fingerprint>) -> Claim<'_> {
        let mut claimed = lock(&self.claimed);
        while !claimed.is_empty() && names.iter().any(|name| claimed.contains(name)) {
            claimed = self.released.wait(claimed).unwrap_or_else(PoisonError::into_inner);
        }
        claimed.extend(&names);
        Claim { store: self, names }
    }
}

/// A sample of a batch that may be new.
struct Fresh {
    /// Which batch.
    at: usize,
    question: Fingerprint,
    sample: Sample,
}

impl Fresh {
    fn lot(&self) -> Lot {
        Lot { id: self.sample.id, question: self.question, domain: self.sample.domain.clone() }
    }
}

fn catalogued((stored, question): (&Stored, &Fingerprint)) -> NewSample {
    let Stored { sample, held_out } = stored;
    NewSample {
        id: sample.id,
        domain: sample.domain.clone(),
        kind: sample.body.kind(),
        question: *question,
        held_out: *held_out,
        arrived_ms: sample.arrived_ms,
    }
}

/// Samples that are being stored, and what they ask, until it is dropped.
struct Claim<'a> {
    store: &'a Store,
    names: BTreeSet<Fingerprint>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = lock(&self.store.claimed);
        for name in &self.names {
            claimed.remove(name);
        }
        self.store.released.notify_all();
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

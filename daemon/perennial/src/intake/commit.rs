use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use perennial_data::{
    segment::{self, Stored},
    split::{self, SplitConfig},
};
use perennial_registry::{NewSample, NewSegment, Source as LedgerEntry};
use perennial_types::{Domain, Sample, SampleId};
use tracing::info;

use super::is_full;
use crate::{clock, config::Ingest, ports::Context, telemetry::SetAsideCount};

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
        Self { text: format!("{error:#}"), full: is_full(&error) }
    }
}

/// Stores batches: whoever calls it may do so from any thread.
pub(super) struct Store {
    context: Context,
    /// Samples that somebody is storing now: whoever has the same one waits, for it is a duplicate only once it is stored.
    claimed: Mutex<BTreeSet<SampleId>>,
    released: Condvar,
    /// Held-out samples by domain, since counting them anew takes as long as there are samples.
    held_out: Mutex<Option<BTreeMap<Domain, usize>>>,
}

impl Store {
    pub(super) fn new(context: Context) -> Self {
        Self { context, claimed: Mutex::default(), released: Condvar::new(), held_out: Mutex::default() }
    }

    /// Stores these batches as one segment and in one transaction, or none of them.
    pub(super) fn commit(&self, batches: Vec<Batch>) -> Result<Vec<Committed>, CommitError> {
        let mut committed = vec![Committed::default(); batches.len()];
        let (mut ids, mut fresh, mut ledger) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (at, batch) in batches.into_iter().enumerate() {
            ledger.extend(batch.ledger.map(|entry| (at, entry)));
            for sample in batch.samples {
                if ids.insert(sample.id) {
                    fresh.push((at, sample));
                } else if let Some(outcome) = committed.get_mut(at) {
                    outcome.duplicates += 1;
                }
            }
        }
        let _claim = self.claim(ids);
        self.drop_known(&mut fresh, &mut committed)?;
        let stored = self.split(fresh, &mut committed)?;
        for (at, entry) in &mut ledger {
            let Some(outcome) = committed.get(*at) else { continue };
            entry.stored += outcome.accepted;
            entry.duplicates += outcome.duplicates;
        }
        let ledger: Vec<LedgerEntry> = ledger.into_iter().map(|(_, entry)| entry).collect();
        self.write(&stored, &ledger)?;
        self.count_held_out(&stored);
        self.context.telemetry.beat();
        Ok(committed)
    }

    fn drop_known(&self, fresh: &mut Vec<(usize, Sample)>, committed: &mut [Committed]) -> anyhow::Result<()> {
        let ids: Vec<SampleId> = fresh.iter().map(|(_, sample)| sample.id).collect();
        let known = self.context.registry.known(&ids)?;
        // Whoever sends a row again that was set aside wants it tried again.
        let taken_back = self.context.registry.take_back(&known)?;
        if taken_back > 0 {
            info!(samples = taken_back, "samples that were set aside are sent again, and wait");
            self.context.telemetry.emit(SetAsideCount(self.context.registry.set_aside_count()?));
        }
        fresh.retain(|(at, sample)| {
            let is_known = known.contains(&sample.id);
            if let Some(outcome) = committed.get_mut(*at).filter(|_| is_known) {
                outcome.duplicates += 1;
            }
            !is_known
        });
        Ok(())
    }

    /// Chooses which samples are held out, and counts what each batch brings.
    fn split(&self, fresh: Vec<(usize, Sample)>, committed: &mut [Committed]) -> anyhow::Result<Vec<Stored>> {
        let config = self.context.config.current();
        let Ingest { held_out_fraction: fraction, held_out_min, .. } = config.ingest;
        let split = SplitConfig { fraction, min_per_domain: held_out_min as usize };
        let lots: Vec<_> = fresh.iter().map(|(_, sample)| (sample.id, sample.domain.clone())).collect();
        let chosen = {
            let mut known = lock(&self.held_out);
            let counts = match &mut *known {
                Some(counts) => counts,
                none => none.insert(self.counts()?),
            };
            split::choose_held_out(&split, &lots, counts)
        };
        let mut stored = Vec::with_capacity(fresh.len());
        for (at, sample) in fresh {
            let held_out = chosen.contains(&sample.id);
            if let Some(outcome) = committed.get_mut(at) {
                outcome.accepted += 1;
                outcome.held_out += u64::from(held_out);
                *outcome.domains.entry(sample.domain.clone()).or_default() += 1;
            }
            stored.push(Stored { sample, held_out });
        }
        Ok(stored)
    }

    fn counts(&self) -> anyhow::Result<BTreeMap<Domain, usize>> {
        let counts = self.context.registry.held_out_counts()?;
        Ok(counts.into_iter().map(|(domain, counts)| (domain, counts.held_out as usize)).collect())
    }

    fn count_held_out(&self, stored: &[Stored]) {
        let mut known = lock(&self.held_out);
        let Some(counts) = &mut *known else { return };
        for stored in stored.iter().filter(|stored| stored.held_out) {
            *counts.entry(stored.sample.domain.clone()).or_default() += 1;
        }
    }

    fn write(&self, stored: &[Stored], ledger: &[LedgerEntry]) -> anyhow::Result<()> {
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
        let samples: Vec<NewSample> = stored.iter().map(catalogued).collect();
        let added = registry.take_in(Some((&segment, &samples)), ledger, created_ms);
        // Nobody will ever read a segment that did not get into the catalogue. Where even that cannot be told, it stays for
        // the next start.
        if added.is_err() && matches!(registry.has_segment(&segment.path), Ok(false)) {
            let _ = fs::remove_file(state.root().join(&segment.path));
        }
        Ok(added?)
    }

    /// Waits until nobody else stores one of these samples.
    fn claim(&self, ids: BTreeSet<SampleId>) -> Claim<'_> {
        let mut claimed = lock(&self.claimed);
        while !claimed.is_empty() && ids.iter().any(|id| claimed.contains(id)) {
            claimed = self.released.wait(claimed).unwrap_or_else(PoisonError::into_inner);
        }
        claimed.extend(&ids);
        Claim { store: self, ids }
    }
}

fn catalogued(stored: &Stored) -> NewSample {
    let Stored { sample, held_out } = stored;
    NewSample {
        id: sample.id,
        domain: sample.domain.clone(),
        kind: sample.body.kind(),
        held_out: *held_out,
        arrived_ms: sample.arrived_ms,
    }
}

/// Samples that are being stored, until it is dropped.
struct Claim<'a> {
    store: &'a Store,
    ids: BTreeSet<SampleId>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = lock(&self.store.claimed);
        for id in &self.ids {
            claimed.remove(id);
        }
        self.store.released.notify_all();
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

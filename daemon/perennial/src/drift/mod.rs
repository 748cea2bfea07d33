//! Whether what comes in has moved from what the champion learned, by every detector, and how far the champion has moved from the
//! models before it.
//!
//! The reference is what of the new samples that the champion's cycle trained on comes first by id; the current window is the last
//! training samples that came in since that cycle began and that it did not train on. Without a champion there is nothing to compare
//! with. What was found is kept in `drift/` in the state directory.

mod features;
mod kept;
mod losses;
mod policy;
mod retention;
mod weights;
mod windows;

use std::sync::{Mutex, PoisonError};

use perennial_drift::{Finding, Measured, Thresholds, Window};
use perennial_learn::model::Model;
use perennial_registry::Adapter;
use perennial_types::{CycleId, SampleId};

pub(crate) use self::kept::last;
use self::windows::Known;
use crate::{
    answers::{Drift, DriftScore},
    clock,
    config::Config,
    engine::Engine,
    ports::{Context, DriftWatch, Stop},
    replay::BufferLock,
};

/// [`DriftWatch`] of a state directory.
pub(crate) struct StateDrift {
    context: Context,
    engine: Engine,
    buffer: BufferLock,
    reference: Mutex<Option<Reference>>,
}

/// What is compared with, read once for each champion.
struct Reference {
    cycle: CycleId,
    window: Window,
    /// What may be replayed, to tell what is near to it.
    known: Known,
    thresholds: Thresholds,
}

/// Whom samples are compared by.
struct Champion {
    adapter: Adapter,
    cycle: CycleId,
    started_ms: i64,
}

impl StateDrift {
    pub(crate) fn new(context: Context, engine: Engine, buffer: BufferLock) -> Self {
        Self { context, engine, buffer, reference: Mutex::default() }
    }

    fn champion(&self) -> anyhow::Result<Option<Champion>> {
        let registry = &self.context.registry;
        let adapter = registry.champion()?.map(|champion| registry.adapter(&champion)).transpose()?.flatten();
        let Some(adapter) = adapter else { return Ok(None) };
        let cycle = registry.cycle(adapter.lineage.cycle)?;
        Ok(cycle.map(|cycle| Champion { adapter, cycle: cycle.id, started_ms: cycle.started_ms }))
    }

    /// The reference of this champion's cycle, from memory where it is there.
    fn reference(&self, champion: &Champion, model: &Model) -> anyhow::Result<Reference> {
        let mut slot = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = slot.take().filter(|reference| reference.cycle == champion.cycle) {
            return Ok(reference);
        }
        drop(slot);
        let registry = &self.context.registry;
        let records = registry.samples_of_cycle(champion.cycle, windows::REFERENCE_SAMPLES_MAX)?;
        let known = self.known(&[])?;
        let window = self.window(&records, &known, model)?;
        let batches = windows::batches_until(registry, champion.started_ms)?;
        Ok(Reference {
            cycle: champion.cycle,
            window: Window { batches, ..window },
            known,
            thresholds: Thresholds::default(),
        })
    }

    /// Keeps a reference for the next time, unless some of its samples are not embedded yet.
    fn keep(&self, reference: Reference) -> anyhow::Result<()> {
        if self.context.registry.unindexed_count()? == 0 {
            *self.reference.lock().unwrap_or_else(PoisonError::into_inner) = Some(reference);
        }
        Ok(())
    }

    fn measured(&self, config: &Config, may_calculate: bool, stop: &Stop) -> anyhow::Result<Drift> {
        let registry = &self.context.registry;
        let mut drift = Drift { measured_ms: Some(clock::now_ms()), scores: nothing(), ..Drift::default() };
        drift.retention = retention::retention(&self.context)?;
        let Some(champion) = self.champion()? else { return Ok(drift) };
        drift.reference_cycle = Some(champion.cycle);
        drift.policy = policy::kept(&self.context.state, &champion.adapter.id)?;
        if drift.policy.is_none() && may_calculate && !stop.is_set() {
            drift.policy = policy::measure(&self.context, &self.engine, &champion.adapter, stop)?;
        }
        let arrived = registry.samples_arrived(champion.started_ms, champion.cycle, windows::CURRENT_SAMPLES_MAX)?;
        drift.current_samples = arrived.len() as u64;
        if arrived.len() < perennial_drift::SAMPLES_MIN {
            // The model is not read for nothing.
            let learned = registry.samples_of_cycle(champion.cycle, windows::REFERENCE_SAMPLES_MAX)?;
            drift.reference_samples = learned.len() as u64;
            return Ok(drift);
        }
        let model = self.engine.model(&config.model)?;
        let mut reference = self.reference(&champion, &model)?;
        let mut current = self.window(&arrived, &reference.known, &model)?;
        current.batches = windows::batches_since(registry, champion.started_ms)?;
        let scored =
            losses::of(&self.context, config, &model, &champion, &reference.window, &arrived, may_calculate, stop)?;
        (reference.window.losses, current.losses) = (scored.held_out, scored.fresh);
        let interval_seconds = config.drift.interval_seconds as f64;
        let Measured { findings, domains_left_out } =
            perennial_drift::measure(&reference.window, &current, interval_seconds, &mut reference.thresholds);
        drift.reference_samples = reference.window.rows.len() as u64;
        drift.domains_left_out = domains_left_out as u64;
        drift.scores = findings.into_iter().map(score).collect();
        self.keep(reference)?;
        Ok(drift)
    }

    /// What the detectors say of what came in since the champion's cycle began, the samples that a cycle learned included, against
    /// `learned`, or against what the champion learned. Nothing is calculated with the model.
    ///
    /// # Errors
    /// Where the registry or the model fails.
    pub(crate) fn after(&self, learned: Option<&[SampleId]>) -> anyhow::Result<Vec<DriftScore>> {
        let (registry, config) = (&self.context.registry, self.context.config.current());
        let Some(champion) = self.champion()? else { return Ok(Vec::new()) };
        let model = self.engine.model(&config.model)?;
        let arrived = registry.samples_arrived(champion.started_ms, champion.cycle, windows::CURRENT_SAMPLES_MAX)?;
        let known = self.known(learned.unwrap_or_default())?;
        let records = match learned {
            Some(learned) => windows::part(registry, learned)?,
            None => registry.samples_of_cycle(champion.cycle, windows::REFERENCE_SAMPLES_MAX)?,
        };
        let mut reference = self.window(&records, &known, &model)?;
        reference.batches = windows::batches_until(registry, champion.started_ms)?;
        let mut current = self.window(&arrived, &known, &model)?;
        current.batches = windows::batches_since(registry, champion.started_ms)?;
        let interval_seconds = config.drift.interval_seconds as f64;
        let measured = perennial_drift::measure(&reference, &current, interval_seconds, &mut Thresholds::default());
        Ok(measured.findings.into_iter().map(score).collect())
    }

    /// What may be replayed, and these samples besides.
    fn known(&self, also: &[SampleId]) -> anyhow::Result<Known> {
        Known::read(&self.context, &self.buffer, also)
    }

    fn window(
        &self,
        records: &[perennial_registry::SampleRecord],
        known: &Known,
        model: &Model,
    ) -> anyhow::Result<Window> {
        let vectors = windows::vectors(&self.context, &self.buffer, records)?;
        let rows = features::rows(&self.context.state, records, vectors, known, &model.tokenizer)?;
        Ok(Window { rows, ..Window::default() })
    }
}

impl DriftWatch for StateDrift {
    fn measure(&self, may_calculate: bool, stop: &Stop) -> anyhow::Result<Drift> {
        let drift = self.measured(&self.context.config.current(), may_calculate, stop)?;
        kept::keep(&self.context.state, &drift)?;
        Ok(drift)
    }
}

/// What the detectors say where there is nothing to compare.
fn nothing() -> Vec<DriftScore> {
    let nothing = Window::default();
    let measured = perennial_drift::measure(&nothing, &nothing, 1.0, &mut Thresholds::default());
    measured.findings.into_iter().map(score).collect()
}

fn score(finding: Finding) -> DriftScore {
    let drifted = finding.is_drift();
    let Finding { detector, meaning, domain, score } = finding;
    let (score, threshold) = score.unzip();
    DriftScore { detector: detector.to_owned(), meaning: meaning.to_owned(), domain, score, threshold, drifted }
}

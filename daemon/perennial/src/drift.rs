//! Whether what comes in has moved from what the champion learned, by every detector.
//!
//! The reference is the new samples that the champion's cycle trained on; the current window is the last training samples that
//! came in since that cycle began, whatever became of them. Without a champion there is nothing to compare with.

use perennial_drift::{DETECTORS, Window};
use perennial_registry::Registry;

use crate::answers::{Drift, DriftScore};

/// How many samples the current window holds at most: enough for a steady mix, few enough to follow a change within days.
const CURRENT_SAMPLES_MAX: u64 = 1000;

/// Asks every detector.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn measure(registry: &Registry) -> anyhow::Result<Drift> {
    let (reference, current) = windows(registry)?;
    let scores = DETECTORS.iter().map(|detector| DriftScore {
        detector: detector.name().to_owned(),
        meaning: detector.meaning().to_owned(),
        score: detector.score(&reference, &current),
    });
    Ok(Drift { reference_samples: reference.samples(), current_samples: current.samples(), scores: scores.collect() })
}

fn windows(registry: &Registry) -> anyhow::Result<(Window, Window)> {
    let champion = registry.champion()?.map(|champion| registry.adapter(&champion)).transpose()?.flatten();
    let cycle = champion.map(|adapter| registry.cycle(adapter.lineage.cycle)).transpose()?.flatten();
    let Some(cycle) = cycle else { return Ok(Default::default()) };
    let reference = Window { domains: registry.domains_of_cycle(cycle.id)? };
    let current = Window { domains: registry.domains_arrived(cycle.started_ms, CURRENT_SAMPLES_MAX)? };
    Ok((reference, current))
}

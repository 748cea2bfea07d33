//! How much is replayed.

use std::collections::BTreeSet;

use perennial_registry::Registry;
use perennial_types::Domain;

use super::fallen;
use crate::config::{Ratio, Replay};

/// Where it begins.
const FIRST: f64 = 0.2;
/// What it is multiplied by when suites fell: forgetting is answered at once …
const RAISED: f64 = 1.5;
/// … and when none did: learning is let go faster only bit by bit.
const LOWERED: f64 = 0.9;
/// How many of the last decisions are looked at.
const CYCLES_MAX: usize = 50;

/// The replayed share of a mix: the configured one, or what the decisions before make of it.
///
/// # Errors
/// Where the registry fails.
pub(super) fn of(replay: &Replay, registry: &Registry) -> anyhow::Result<f64> {
    match replay.ratio {
        Ratio::Fixed(ratio) => Ok(ratio),
        Ratio::Auto => {
            let cycles = registry.cycles(CYCLES_MAX)?;
            let decided = cycles.iter().rev().filter_map(fallen::noted);
            Ok(after(decided, replay.auto_ratio_min, replay.auto_ratio_max))
        }
    }
}

/// After these decisions, the oldest first, each with the domains that it saw fall.
fn after(decided: impl Iterator<Item = BTreeSet<Domain>>, min: f64, max: f64) -> f64 {
    let next = |ratio: f64, fell: BTreeSet<Domain>| {
        let factor = if fell.is_empty() { LOWERED } else { RAISED };
        (ratio * factor).min(max).max(min)
    };
    decided.fold(FIRST.min(max).max(min), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_when_something_fell_falls_when_nothing_did_and_stays_within_its_bounds() {
        let fell = BTreeSet::from([Domain::default()]);
        let after = |history: &[bool]| {
            after(history.iter().map(|fell_then| if *fell_then { fell.clone() } else { BTreeSet::new() }), 0.1, 0.5)
        };
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        close(after(&[]), 0.2);
        close(after(&[true]), 0.3);
        close(after(&[true, false]), 0.27);
        close(after(&[true; 9]), 0.5);
        close(after(&[false; 40]), 0.1);
        close(after(&[[false; 40].as_slice(), &[true]].concat()), 0.15);
    }
}

//! Whose turn it is: whether a cycle consolidates (`train.slow`), and with which adapter. Both follow from the champion's line, so that
//! they are the same after a restart, and right again after the champion was changed by hand.

use anyhow::Context as _;
use perennial_learn::adapter::{Adapter, check_interpolate};
use perennial_registry::{CycleOutcome, Lineage, Phase};
use perennial_types::{AdapterId, CycleId, Fingerprint};

use super::Scope;
use crate::{answers::adapter_name, config::Slow, stage::Consolidation};

/// Cycles at one champion that are looked through for a consolidation that was refused. After so many, another try does no harm.
const CYCLES_LOOKED_AT_MAX: usize = 64;

/// What the time scales say of a cycle.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Turn {
    pub(super) consolidation: Option<Consolidation>,
    /// For the report.
    pub(super) told: Option<String>,
}

/// What an adapter of the champion's line is to the time scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// By a cycle that consolidated: it is the slow one until the next.
    Consolidated,
    /// By a cycle between two of those.
    Fast,
    /// Before there were two time scales.
    Before,
    /// On another base model.
    Elsewhere,
}

/// The turn of a cycle that goes on from its champion, on this base model.
pub(super) fn turn(scope: &Scope<'_>, base: Fingerprint) -> anyhow::Result<Turn> {
    let Scope { parts, cycle, config, .. } = scope;
    let (slow, registry) = (config.train.slow, &parts.context.registry);
    if slow.every_cycles == 0 {
        return Ok(Turn::default());
    }
    let line = registry.line()?;
    if line.last() != cycle.champion.as_ref() {
        // The gate promotes nobody over a champion that it was not begun with.
        return Ok(Turn::default());
    }
    let link = |id: AdapterId| {
        let known = registry.adapter(&id)?.with_context(|| format!("there is no adapter {id}"))?;
        Ok((made(&known.lineage, base), id))
    };
    let line = line.into_iter().map(link).collect::<anyhow::Result<Vec<_>>>()?;
    let (from, promoted) = since(&line);
    if let Some(from) = from {
        let shape = Adapter::shape_of(&parts.context.state.adapter(from))?;
        if let Err(error) = check_interpolate(&shape, &config.train.lora()) {
            let told =
                format!("This cycle does not consolidate (train.slow): the slow adapter {from} cannot be: {error}.");
            return Ok(Turn { consolidation: None, told: Some(told) });
        }
    }
    Ok(decided(slow, from, promoted, refused(scope)?))
}

fn made(lineage: &Lineage, base: Fingerprint) -> Made {
    if lineage.base != base {
        return Made::Elsewhere;
    }
    if !lineage.config["consolidation"].is_null() {
        return Made::Consolidated;
    }
    match lineage.config["train"]["slow"]["every_cycles"].as_u64() {
        Some(1..) => Made::Fast,
        _ => Made::Before,
    }
}

/// The slow adapter of a line, the base model where it is `None`, and how many were promoted since.
fn since(line: &[(Made, AdapterId)]) -> (Option<&AdapterId>, u64) {
    let fast = line.iter().rev().take_while(|(made, _)| *made == Made::Fast).count();
    let slow = match line.iter().rev().nth(fast) {
        Some((Made::Consolidated | Made::Before, id)) => Some(id),
        _ => None,
    };
    (slow, fast as u64)
}

/// The cycle at this champion whose consolidation the gate refused.
fn refused(scope: &Scope<'_>) -> anyhow::Result<Option<CycleId>> {
    let cycles = scope.parts.context.registry.cycles(CYCLES_LOOKED_AT_MAX)?;
    let at_this_champion = cycles.into_iter().take_while(|cycle| cycle.champion == scope.cycle.champion);
    let mut refused = at_this_champion.filter(|cycle| {
        let consolidated = cycle.detail(Phase::Trained).is_some_and(|detail| !detail["consolidation"].is_null());
        consolidated && cycle.outcome == Some(CycleOutcome::Rejected)
    });
    Ok(refused.next().map(|cycle| cycle.id))
}

fn decided(
    Slow { every_cycles, alpha }: Slow,
    from: Option<&AdapterId>,
    promoted: u64,
    refused: Option<CycleId>,
) -> Turn {
    let is_due = promoted + 1 >= every_cycles;
    if let (true, None) = (is_due, refused) {
        return Turn { consolidation: Some(Consolidation { slow: from.cloned(), alpha }), told: None };
    }
    let slow = adapter_name(from);
    let told = match refused.filter(|_| is_due) {
        Some(refused) => format!(
            "This cycle does not consolidate (train.slow), since the gate refused that in cycle {refused} at this champion: it is due \
             again with the next one. The slow adapter is {slow}."
        ),
        None => format!(
            "The candidate is a fast one (train.slow): {promoted} of {every_cycles} cycles were promoted since the slow adapter, \
             which is {slow}."
        ),
    };
    Turn { consolidation: None, told: Some(told) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(number: u8) -> AdapterId {
        AdapterId::of(&Fingerprint::of(&[number]))
    }

    fn line(made: &[Made]) -> Vec<(Made, AdapterId)> {
        made.iter().copied().zip((0..).map(id)).collect()
    }

    #[test]
    fn the_slow_adapter_is_the_last_that_was_consolidated_or_where_it_began() {
        use Made::{Before, Consolidated, Elsewhere, Fast};
        for (made, slow, promoted) in [
            (&[][..], None, 0),
            (&[Fast, Fast], None, 2),
            (&[Fast, Consolidated, Fast, Fast], Some(1), 2),
            (&[Fast, Consolidated, Fast, Consolidated], Some(3), 0),
            (&[Before, Before, Fast], Some(1), 1),
            // It was off for a while.
            (&[Consolidated, Fast, Before, Fast], Some(2), 1),
            (&[Elsewhere, Fast], None, 1),
            (&[Before], Some(0), 0),
        ] {
            assert_eq!(since(&line(made)), (slow.map(id).as_ref(), promoted), "{made:?}");
        }
    }

    #[test]
    fn what_a_lineage_says_is_enough() {
        let base = Fingerprint::of(b"base");
        let of = |config: serde_json::Value| {
            let lineage = Lineage {
                cycle: CycleId(1),
                parent: None,
                base,
                mix: base,
                config,
                seed: 0,
                code_version: String::new(),
                gate: None,
            };
            (made(&lineage, base), made(&lineage, Fingerprint::of(b"other")))
        };
        assert_eq!(of(json!({ "train": {} })), (Made::Before, Made::Elsewhere));
        assert_eq!(of(json!({ "train": { "slow": { "every_cycles": 0 } } })).0, Made::Before);
        let on = json!({ "slow": { "every_cycles": 3 } });
        assert_eq!(of(json!({ "train": on })).0, Made::Fast);
        let consolidation = Consolidation { slow: None, alpha: 0.5 };
        assert_eq!(of(json!({ "train": on, "consolidation": consolidation })).0, Made::Consolidated);
    }

    #[test]
    fn every_third_is_consolidated_but_not_twice_at_one_champion() {
        let slow = Slow { every_cycles: 3, alpha: 0.4 };
        for promoted in [0, 1] {
            let turn = decided(slow, None, promoted, None);
            assert_eq!(turn.consolidation, None);
            let told = turn.told.unwrap();
            assert!(told.contains(&format!("{promoted} of 3 cycles")) && told.contains("the base model"), "{told}");
        }
        for promoted in [2, 7] {
            let turn = decided(slow, Some(&id(1)), promoted, None);
            assert_eq!(turn.consolidation, Some(Consolidation { slow: Some(id(1)), alpha: 0.4 }));
        }
        let turn = decided(slow, Some(&id(1)), 2, Some(CycleId(9)));
        assert!(turn.consolidation.is_none() && turn.told.unwrap().contains("refused that in cycle 000009"));
        assert!(decided(slow, None, 1, Some(CycleId(9))).told.unwrap().contains("is a fast one"));
    }
}

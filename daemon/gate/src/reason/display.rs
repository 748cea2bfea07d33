//! Reasons as sentences.

use std::fmt;

use super::Reason;
use crate::LeftOut;

/// Above this many items, a suite is the wrong tool for the margin.
const ITEMS_WORTH_NAMING_MAX: usize = 100_000;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regressed { suite, difference, margin, chance: None } => {
                write!(f, "suite {suite} fell by {:.3}, more than its margin of {margin}", -difference)
            }
            Self::Regressed { suite, difference, margin, chance: Some(chance) } => write!(
                f,
                "suite {suite} fell by {:.3}: chance alone does that {} times, and a loss beyond its margin of {margin:.3} \
                 is not ruled out",
                -difference,
                often(*chance)
            ),
            Self::TogetherFell { pool, against, suites, n, difference, chance, shown } => {
                let whom = against.as_str();
                if *shown {
                    let (fell, often) = (-difference, often(*chance));
                    write!(
                        f,
                        "{pool} together ({suites} suites, {n} items) fell by {fell:.2} of their margins against the \
                         {whom}: chance alone does that {often} times"
                    )
                } else {
                    write!(f, "{pool} together ({suites} suites, {n} items) may have fallen beyond their margins")
                }
            }
            Self::BelowAnchor { suite, difference, margin, chance } => write!(
                f,
                "suite {suite} is {:.3} below the anchor: chance alone does that {} times, and a loss beyond \
                 gate.anchor.margin of {margin} is not ruled out",
                -difference,
                often(*chance)
            ),
            Self::Faulty { suite, side, faults, items, ratio_max, example } => {
                write!(
                    f,
                    "suite {suite} is void: {faults} of its {items} items could not be judged for the {}'s answers alone, \
                     and gate.max_fault_ratio is {ratio_max}",
                    side.as_str()
                )?;
                match example {
                    Some(LeftOut { id, reason }) => write!(f, " ({id}: {reason})"),
                    None => Ok(()),
                }
            }
            Self::Declined { reason } => write!(f, "it passed the gate and was declined: {reason}"),
            Self::OptimisedGainAlone { suites } => write!(
                f,
                "nothing improved but {}, which is judged by the reward that was optimised: make a suite with another \
                 metric a target",
                suites.join(", ")
            ),
            Self::Uncertain { suite, difference, lower, margin, n, items_needed, smallest_seen, allowed } => {
                let verb = if *allowed { "was let pass" } else { "may have fallen" };
                write!(
                    f,
                    "suite {suite} {verb}: the difference is {difference:+.3} on {n} items, but it could be {lower:+.3}, \
                     beyond the margin of {margin:.3}; "
                )?;
                if let Some(seen) = smallest_seen {
                    write!(f, "it could have seen {seen:.3}; ")?;
                }
                if *items_needed == 0 || *items_needed > ITEMS_WORTH_NAMING_MAX {
                    f.write_str("a wider margin would tell")
                } else {
                    write!(f, "about {items_needed} items or a wider margin would tell")
                }
            }
            Self::Void { suite, unjudged, items, ratio_max, example } => {
                write!(
                    f,
                    "suite {suite} is void: {unjudged} of its {items} items could not be judged, and \
                     gate.unjudged_ratio_max is {ratio_max}"
                )?;
                if let Some(LeftOut { id, reason }) = example {
                    write!(f, " ({id}: {reason})")?;
                }
                f.write_str("; mend the items, or judge it by another metric")
            }
            Self::NotAsked { suites } => {
                write!(
                    f,
                    "not asked to the end, since harm was shown before (or less was enough once): {}",
                    suites.join(", ")
                )
            }
            Self::TooSmall { suite, n, items_needed } => write!(
                f,
                "suite {suite} does not speak against it: of {items_needed} items that it takes to tell a loss from chance it has {n}"
            ),
            Self::NothingLargeEnough { suites } => write!(
                f,
                "no suite that must not fall has items enough to tell ({}): add items, or widen the margin",
                suites.join(", ")
            ),
            Self::Improved { suite, difference, lower } => {
                write!(f, "suite {suite} improved by {difference:.3} (at least {lower:.3})")
            }
            Self::NoImprovement { suites } => {
                write!(f, "no target suite is shown to have improved ({})", suites.join(", "))
            }
            Self::NoTarget => f.write_str(
                "no suite is a target, so nothing can improve: make one a target, or set gate.require to \"not_worse\"",
            ),
            Self::NothingMeasured => f.write_str("no suite was measured: a gate without suites promotes nothing"),
            Self::RewardAgainstSuite { suite, first, last, difference } => write!(
                f,
                "the reward rose from {first:.3} to {last:.3} in training while suite {suite}, which it does not score, \
                 fell by {:.3}",
                -difference
            ),
            Self::RewardWithoutGain { first, last, suites } => write!(
                f,
                "the reward rose from {first:.3} to {last:.3} in training, but no suite that it does not score improved \
                 ({})",
                suites.join(", ")
            ),
            Self::FarFromReference { kl, kl_max } => write!(
                f,
                "the policy went {kl:.3} nats per token from its reference, more than gate.hacking.kl_max of {kl_max}"
            ),
            Self::LengthDrift { first, last, ratio_max } => write!(
                f,
                "completions went from {first:.1} to {last:.1} tokens, by more than gate.hacking.length_ratio_max of \
                 {ratio_max}"
            ),
            Self::NotWorse { suites } => {
                let noun = if *suites == 1 { "suite is" } else { "suites are" };
                write!(f, "{suites} {noun} not shown to have fallen")
            }
        }
    }
}

/// A chance in words.
fn often(chance: f64) -> String {
    match chance {
        chance if chance < 0.0001 => "less than 1 in 10000".to_owned(),
        chance if chance < 0.01 => format!("{:.0} in 10000", 10_000.0 * chance),
        chance => format!("{:.1} in 100", 100.0 * chance),
    }
}

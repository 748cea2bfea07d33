//! Between the gate's yes and production: a candidate that waits for a person's word, where `promotion.hold` says so.
//!
//! The cycle stays open meanwhile, and no other begins: what the candidate learned is neither consumed nor new. Everything ends: a
//! candidate that nobody speaks of is declined after `promotion.hold_seconds_max`.

use perennial_gate::Decision;
use perennial_registry::{Hold, HoldAnswer};
use perennial_types::CycleId;

use super::Scope;
use crate::{answers, clock, config::Promotion, ports::Context, telemetry::CandidateHeld};

/// What becomes of a candidate that passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nobody is asked.
    Unneeded,
    /// It waits.
    Awaited {
        /// When it is declined where nobody speaks, in milliseconds since the Unix epoch.
        until_ms: i64,
    },
    /// Somebody wants it.
    Approved(String),
    /// Somebody does not, or nobody spoke.
    Declined(String),
}

impl Word {
    /// The word on the candidate of a cycle, which begins to wait where it is to.
    ///
    /// # Errors
    /// Where the registry fails.
    pub(super) fn of(scope: &Scope<'_>) -> anyhow::Result<Self> {
        let Scope { parts, cycle, .. } = scope;
        let context = &parts.context;
        let promotion = &context.config.current().promotion;
        let now_ms = clock::now_ms();
        let known = context.registry.hold_of(cycle.id)?;
        if known.is_none() && !promotion.hold {
            return Ok(Self::Unneeded);
        }
        let hold = match known {
            Some(hold) => hold,
            None => {
                let hold = context.registry.hold(cycle.id, now_ms)?;
                let until_ms = until_ms(&hold, promotion);
                context.telemetry.emit(CandidateHeld {
                    cycle: cycle.id,
                    candidate: cycle.candidate.as_ref(),
                    until_ms,
                });
                hold
            }
        };
        Ok(said(&hold, promotion, now_ms))
    }

    /// What it makes of the gate's word.
    pub(super) fn on(&self, decision: Decision) -> Decision {
        match self {
            Self::Unneeded | Self::Approved(_) => decision,
            Self::Awaited { .. } => decision.held(),
            Self::Declined(reason) => Decision::declined(reason.clone()),
        }
    }

    /// What the reader of the report should know of it.
    pub(super) fn note(&self, cycle: CycleId) -> Option<String> {
        match self {
            Self::Unneeded | Self::Declined(_) => None,
            Self::Awaited { .. } => Some(format!(
                "It passed the gate and waits for a person's word: `perennial approve {0}` puts it in service, `perennial decline {0}` \
                 does not. Where nobody says anything in time (promotion.hold_seconds_max), it is declined.",
                cycle.0
            )),
            Self::Approved(reason) => Some(format!("It waited for a person's word, and was approved: {reason}.")),
        }
    }
}

fn said(hold: &Hold, promotion: &Promotion, now_ms: i64) -> Word {
    match &hold.answer {
        Some(HoldAnswer { approves: true, reason, .. }) => Word::Approved(reason.clone()),
        Some(HoldAnswer { approves: false, reason, .. }) => Word::Declined(reason.clone()),
        None if !promotion.hold => Word::Approved("promotion.hold was switched off".to_owned()),
        None => match until_ms(hold, promotion) {
            until_ms if until_ms > now_ms => Word::Awaited { until_ms },
            _ => Word::Declined(format!(
                "nobody approved it within {} s (promotion.hold_seconds_max)",
                promotion.hold_seconds_max
            )),
        },
    }
}

fn until_ms(hold: &Hold, promotion: &Promotion) -> i64 {
    let wait_ms = i64::try_from(promotion.hold_seconds_max.saturating_mul(1000)).unwrap_or(i64::MAX);
    hold.at_ms.saturating_add(wait_ms)
}

/// The candidate that waits now, and for which nothing can be done but to wait: nobody spoke, and the champion that it was compared
/// with is still in service.
///
/// # Errors
/// Where the registry fails.
pub(super) fn held(context: &Context) -> anyhow::Result<Option<answers::Held>> {
    let Some(cycle) = context.registry.open_cycle()? else { return Ok(None) };
    let Some(hold) = context.registry.hold_of(cycle.id)? else { return Ok(None) };
    let promotion = &context.config.current().promotion;
    let Word::Awaited { until_ms } = said(&hold, promotion, clock::now_ms()) else { return Ok(None) };
    let Some(adapter) = cycle.candidate.filter(|_| cycle.abort.is_none()) else { return Ok(None) };
    if context.registry.champion()? != cycle.champion {
        return Ok(None);
    }
    Ok(Some(answers::Held { cycle: cycle.id, adapter, since_ms: hold.at_ms, until_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMOTION: Promotion = Promotion { hold: true, hold_seconds_max: 60 };

    fn hold(answer: Option<(bool, &str)>) -> Hold {
        let answer = answer.map(|(approves, reason)| HoldAnswer { approves, reason: reason.to_owned(), at_ms: 2_000 });
        Hold { cycle: CycleId(3), at_ms: 1_000, answer }
    }

    #[test]
    fn a_candidate_waits_until_somebody_speaks_or_time_is_up() {
        assert_eq!(said(&hold(None), &PROMOTION, 60_999), Word::Awaited { until_ms: 61_000 });
        let Word::Declined(why) = said(&hold(None), &PROMOTION, 61_000) else { panic!("it waits for ever") };
        assert_eq!(why, "nobody approved it within 60 s (promotion.hold_seconds_max)");
    }

    #[test]
    fn a_word_that_was_given_counts_however_late_it_is_read() {
        let yes = said(&hold(Some((true, "looked at it"))), &PROMOTION, i64::MAX);
        assert_eq!(yes, Word::Approved("looked at it".to_owned()));
        let no = said(&hold(Some((false, "too blunt"))), &PROMOTION, 0);
        assert_eq!(no, Word::Declined("too blunt".to_owned()));
    }

    #[test]
    fn nobody_is_waited_for_once_nobody_is_to_be_asked() {
        let off = Promotion { hold: false, ..PROMOTION };
        assert!(matches!(said(&hold(None), &off, 1_000), Word::Approved(_)));
    }
}

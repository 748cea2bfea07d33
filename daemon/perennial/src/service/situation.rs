//! What the loop asks before it decides what to do next: the registry, which may block.

use perennial_registry::CycleOutcome;

use super::inbox;
use crate::{
    clock,
    ports::{Context, Cycles},
    service::policy::Situation,
    stuck,
    telemetry::{DiskLooked, HeldStanding, RejectedInARow, SamplesUntrained, SamplesWaiting, SetAsideCount, Standing},
    untrained,
};

/// How many cycles are looked at for those that the gate refused one after the other.
const REJECTED_MAX: usize = 30;

/// Looks around, tells how much waits and, where it is time to measure, what is set aside and what nothing learns from.
/// `drifted_ms` is when drift was last found.
///
/// # Errors
/// Where the registry does not answer.
pub(super) fn look(
    context: &Context,
    cycles: &dyn Cycles,
    retry_ms: Option<i64>,
    drifted_ms: Option<i64>,
    measures: bool,
) -> anyhow::Result<Situation> {
    let waiting = cycles.waiting()?;
    context.telemetry.emit_quietly(SamplesWaiting(waiting));
    let activity = context.telemetry.board().current();
    context.telemetry.emit_quietly(Standing(stuck::find(&context.registry, waiting, Some(&activity))?.as_ref()));
    if measures {
        look_at_the_place(context);
        let cycles = context.registry.cycles(REJECTED_MAX)?;
        let outcomes = cycles.iter().filter_map(|cycle| cycle.outcome.as_ref());
        context.telemetry.emit_quietly(RejectedInARow(rejected_in_a_row(outcomes)));
        // Whoever changes it tells it too: this is for what was there before the start.
        context.telemetry.emit_quietly(SetAsideCount(context.registry.set_aside_count()?));
        let untrained = untrained::waiting(&context.config.current(), &context.registry)?;
        context.telemetry.emit_quietly(SamplesUntrained(&untrained));
    }
    let held = cycles.held()?;
    context.telemetry.emit_quietly(HeldStanding(held.as_ref()));
    Ok(Situation {
        now_ms: clock::now_ms(),
        waiting: waiting.may_begin(),
        oldest_ms: waiting.oldest_ms,
        unfinished: cycles.unfinished()?,
        held_until_ms: held.map(|held| held.until_ms),
        is_asked: false,
        is_drifted: is_drifted(context, drifted_ms)?,
        retry_ms,
    })
}

/// Whether drift may begin a cycle: what was found once begins one at most, whatever becomes of it.
fn is_drifted(context: &Context, drifted_ms: Option<i64>) -> anyhow::Result<bool> {
    let Some(drifted_ms) = drifted_ms.filter(|_| context.config.current().trigger.drift) else { return Ok(false) };
    let last = context.registry.cycles(1)?;
    Ok(last.first().is_none_or(|last| last.started_ms < drifted_ms))
}

/// Disk and inbox. What cannot be read now says nothing: whoever needs it fails by name.
fn look_at_the_place(context: &Context) {
    let root = context.state.root();
    if let (Ok(free), Ok(size)) = (fs4::available_space(root), fs4::total_space(root)) {
        context.telemetry.emit_quietly(DiskLooked { free, size });
    }
    if let Ok(backlog) = inbox::backlog(context.state.inbox()) {
        context.telemetry.emit_quietly(backlog);
    }
}

/// Cycles that ended without a decision are no part of the row, and do not end it. Latest first.
fn rejected_in_a_row<'a>(outcomes: impl Iterator<Item = &'a CycleOutcome>) -> usize {
    let decided = outcomes.filter(|outcome| matches!(outcome, CycleOutcome::Promoted | CycleOutcome::Rejected));
    decided.take_while(|outcome| matches!(outcome, CycleOutcome::Rejected)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_ends_the_row_and_a_cycle_without_a_decision_does_not() {
        let failed = || CycleOutcome::Failed { reason: String::new(), remedy: String::new() };
        let outcomes = [failed(), CycleOutcome::Rejected, failed(), CycleOutcome::Rejected, CycleOutcome::Promoted];
        assert_eq!(rejected_in_a_row(outcomes.iter()), 2);
        assert_eq!(rejected_in_a_row(outcomes[4..].iter()), 0);
        assert_eq!(rejected_in_a_row([].iter()), 0);
    }
}

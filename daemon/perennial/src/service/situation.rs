//! What the loop asks before it decides what to do next: the registry, which may block.

use crate::{
    clock,
    ports::{Context, Cycles},
    service::policy::Situation,
    stuck,
    telemetry::{SamplesUntrained, SamplesWaiting, SetAsideCount, Standing},
    untrained,
};

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
        // Whoever changes it tells it too: this is for what was there before the start.
        context.telemetry.emit_quietly(SetAsideCount(context.registry.set_aside_count()?));
        let untrained = untrained::waiting(&context.config.current(), &context.registry)?;
        context.telemetry.emit_quietly(SamplesUntrained(&untrained));
    }
    Ok(Situation {
        now_ms: clock::now_ms(),
        waiting: waiting.may_begin(),
        oldest_ms: waiting.oldest_ms,
        unfinished: cycles.unfinished()?,
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

//! What the loop asks before it decides what to do next: the registry, which may block.

use crate::{
    clock, drift,
    ports::{Context, Cycles},
    service::policy::Situation,
    stuck,
    telemetry::{DriftMeasured, SamplesUntrained, SamplesWaiting, SetAsideCount, Standing},
    untrained,
};

/// Looks around, tells how much waits and, where it is time to measure, what is set aside and what moved.
///
/// # Errors
/// Where the registry does not answer.
pub(super) fn look(
    context: &Context,
    cycles: &dyn Cycles,
    retry_ms: Option<i64>,
    measures: bool,
) -> anyhow::Result<Situation> {
    let waiting = cycles.waiting()?;
    context.telemetry.emit_quietly(SamplesWaiting(waiting));
    let activity = context.telemetry.board().current();
    context.telemetry.emit_quietly(Standing(stuck::find(&context.registry, waiting, Some(&activity))?.as_ref()));
    if measures {
        // Whoever changes it tells it too: this is for what was there before the start.
        context.telemetry.emit_quietly(SetAsideCount(context.registry.set_aside_count()?));
        context.telemetry.emit_quietly(DriftMeasured(&drift::measure(&context.registry)?));
        let untrained = untrained::waiting(&context.config.current(), &context.registry)?;
        context.telemetry.emit_quietly(SamplesUntrained(&untrained));
    }
    Ok(Situation {
        now_ms: clock::now_ms(),
        waiting: waiting.may_begin(),
        oldest_ms: waiting.oldest_ms,
        unfinished: cycles.unfinished()?,
        is_asked: false,
        retry_ms,
    })
}

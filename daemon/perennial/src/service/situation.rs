//! What the loop asks before it decides what to do next: the registry, which may block.

use crate::{
    clock, drift,
    ports::{Context, Cycles},
    service::policy::Situation,
    stuck,
    telemetry::{DriftMeasured, SamplesWaiting, SetAsideCount, Standing},
};

/// Looks around, tells how much waits, and measures what moved where it is time to.
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
    context.telemetry.emit_quietly(SamplesWaiting(waiting.samples));
    let activity = context.telemetry.board().current();
    context.telemetry.emit_quietly(Standing(stuck::find(&context.registry, waiting, Some(&activity))?.as_ref()));
    context.telemetry.emit_quietly(SetAsideCount(context.registry.set_aside_count()?));
    if measures {
        context.telemetry.emit_quietly(DriftMeasured(&drift::measure(&context.registry)?));
    }
    Ok(Situation {
        now_ms: clock::now_ms(),
        waiting: waiting.samples,
        oldest_ms: waiting.oldest_ms,
        unfinished: cycles.unfinished()?,
        is_asked: false,
        retry_ms,
    })
}

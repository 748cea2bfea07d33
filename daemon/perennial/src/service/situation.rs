//! What the loop asks before it decides what to do next: the registry, which may block.

use crate::{
    clock,
    ports::{Context, Cycles},
    service::policy::Situation,
    stuck,
    telemetry::{SamplesWaiting, SetAsideCount, Standing},
};

/// Looks around, and tells how much waits.
///
/// # Errors
/// Where the registry does not answer.
pub(super) fn look(context: &Context, cycles: &dyn Cycles, retry_ms: Option<i64>) -> anyhow::Result<Situation> {
    let waiting = cycles.waiting()?;
    context.telemetry.emit_quietly(SamplesWaiting(waiting.samples));
    let activity = context.telemetry.board().current();
    context.telemetry.emit_quietly(Standing(stuck::find(&context.registry, waiting, Some(&activity))?.as_ref()));
    context.telemetry.emit_quietly(SetAsideCount(context.registry.set_aside_count()?));
    Ok(Situation {
        now_ms: clock::now_ms(),
        waiting: waiting.samples,
        oldest_ms: waiting.oldest_ms,
        unfinished: cycles.unfinished()?,
        retry_ms,
    })
}

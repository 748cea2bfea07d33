//! What the mix is drawn from: what was collected, and what may be replayed, as the replay buffer knows it.

use std::collections::BTreeSet;

use anyhow::Context as _;
use perennial_data::mix::{Draft, MixConfig, NewSample};
use perennial_types::SampleId;

use super::{Scope, fallen, space::BufferSpace};
use crate::{base_answers, replay};

/// What a mix of the samples that were collected, and of those among `replayable` that the buffer holds, is planned from, with where
/// they lie where the policy asks for it.
pub(super) fn draft(
    scope: &Scope<'_>,
    mut new: Vec<NewSample>,
    replayable: &[SampleId],
    replay_fraction: f64,
) -> anyhow::Result<(Draft, Option<BufferSpace>)> {
    let Scope { parts, cycle, config, .. } = scope;
    let context = &parts.context;
    let replay = &config.replay;
    let mix_config = MixConfig {
        samples_max: usize::try_from(config.cycle.samples_max).unwrap_or(usize::MAX),
        replay_fraction,
        base_answer_fraction: base_answers::fraction(config),
        policy: replay.policy,
        repeats_max: replay.repeats_max as usize,
        fallen: fallen::last(&context.registry)?,
        fallen_fraction: replay.fallen_ratio,
        row_tokens_max: config.train.max_length as u64,
        cycle: cycle.id,
        seed: cycle.seed,
    };
    let _turn = parts.buffer.hold();
    let Some(buffer) = replay::find(context)? else { return Ok((Draft::new(mix_config, &new, Vec::new()), None)) };
    // All at once: each chunk of a selection would go through the whole table.
    let mut candidates = context.runtime.block_on(buffer.rows()).context("the replay buffer")?;
    for sample in &mut new {
        let place = candidates.binary_search_by_key(&sample.id, |row| row.id).ok();
        sample.tokens = place.and_then(|place| candidates[place].tokens);
    }
    let replayable: BTreeSet<&SampleId> = replayable.iter().collect();
    candidates.retain(|row| replayable.contains(&row.id));
    let ids: Vec<SampleId> = new.iter().map(|sample| sample.id).collect();
    let space = match replay.policy.policy().reads_space() {
        true => Some(BufferSpace::read(context, &buffer, &mut candidates, &ids, cycle.seed)?),
        false => None,
    };
    Ok((Draft::new(mix_config, &new, candidates), space))
}

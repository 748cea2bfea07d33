use perennial_learn::{
    rollout::{Rollout, RolloutOptions, rollouts},
    train::{StopFlag, grpo::Completion},
};

use super::{Drawn, OnGroup, Request, Runner};

/// This program itself: the model that learns also draws.
pub(super) struct Own;

impl Runner for Own {
    fn draw(&self, request: &Request<'_>, on_group: &OnGroup<'_>) -> anyhow::Result<Option<Vec<Vec<Drawn>>>> {
        let Request { config, rollout, adapter, learner, prompts, seed, activation_memory, stop, .. } = *request;
        let options = RolloutOptions { seed, activation_memory: activation_memory.clone(), ..rollout.options(config) };
        let stop = StopFlag::from(stop.flag());
        let mut report = |at: usize, group: &[Rollout]| on_group(at, &drawn(group));
        let all = rollouts(learner, Some(adapter), prompts, &options, &stop, &mut report)?;
        Ok((!stop.is_raised()).then(|| all.chunks(config.num_generations).map(drawn).collect()))
    }
}

fn drawn(group: &[Rollout]) -> Vec<Drawn> {
    group.iter().map(|rollout| Drawn { text: rollout.text.clone(), completion: Completion::from(rollout) }).collect()
}

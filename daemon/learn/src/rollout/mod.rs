//! Rollouts: several completions of each prompt, as the model says them now, for it to learn from.

mod options;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use options::RolloutOptions;

pub use crate::decode::{ActivationMemory, Rollout, RolloutActivations};
use crate::{
    adapter::Adapter,
    decode::{Batch, Finish, GenerateError, check_prompts},
    model::Model,
    stop::StopFlag,
};

/// Completes each prompt [`num_generations`](RolloutOptions::num_generations) times: a group. At most
/// [`batch_max`](RolloutOptions::batch_max) completions run at once; one that ends makes room for the next, of the same
/// group or of the next one. A prompt is computed once for its whole group.
///
/// A rollout depends on model, adapter, prompt, options, and its indices, which with the seed make its own; not on the
/// other prompts, on `batch_max` or on the number of threads. They come in the order of prompts and generations.
///
/// `on_group` is called on this thread with a prompt's index and its rollouts as soon as the last of them has ended.
/// Whether `stop` is raised is looked at before each token: what has not ended then comes with [`Finish::Interrupted`]
/// (and no token where it had not begun), and its group is not given to `on_group`.
///
/// # Errors
/// Where a prompt is empty or leaves no room, an option makes no sense, or a tensor operation fails.
pub fn rollouts(
    model: &Model,
    adapter: Option<&Adapter>,
    prompts: &[Vec<u32>],
    options: &RolloutOptions,
    stop: &StopFlag,
    on_group: &mut dyn FnMut(usize, &[Rollout]),
) -> Result<Vec<Rollout>, GenerateError> {
    options.check()?;
    check_prompts(model.config.positions_max, prompts)?;
    let generations = options.num_generations;
    let mut rollouts: Vec<Rollout> = (0..prompts.len() * generations).map(|at| not_begun(at, generations)).collect();
    let mut left = vec![generations; prompts.len()];

    let generate_options = options.generate_options();
    let mut batch = Batch::new(model, adapter, prompts, generations, &generate_options)?;
    batch.keep_activations(&options.activation_memory);
    while !stop.is_raised() && batch.advance()? {
        for rollout in batch.take_finished() {
            let Rollout { prompt, generation, .. } = rollout;
            let first = prompt * generations;
            rollouts[first + generation] = rollout;
            left[prompt] -= 1;
            if left[prompt] == 0 {
                on_group(prompt, &rollouts[first..first + generations]);
            }
        }
    }
    for rollout in &mut rollouts {
        rollout.activations = batch.take_activations(rollout).map(Arc::new);
    }
    for rollout in batch.into_unfinished() {
        let Rollout { prompt, generation, .. } = rollout;
        rollouts[prompt * generations + generation] = rollout;
    }
    Ok(rollouts)
}

fn not_begun(at: usize, generations: usize) -> Rollout {
    Rollout {
        prompt: at / generations,
        generation: at % generations,
        tokens: Vec::new(),
        logprobs: Vec::new(),
        text: String::new(),
        finish: Finish::Interrupted,
        activations: None,
    }
}

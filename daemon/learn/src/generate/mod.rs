//! Batched generation, and scoring of given answers.

mod batch;
mod engine;
mod options;
mod sampler;
mod score;
mod sequence;
#[cfg(test)]
mod tests;
mod text_stream;

use std::ops::ControlFlow;

pub(crate) use batch::Batch;
pub use engine::{EngineError, NextLogits, generate_with};
pub use options::{Completion, Finish, GenerateError, GenerateOptions};
pub use score::{Scored, score};

use crate::{adapter::Adapter, model::Model, rollout::Rollout};

/// Goes on from each prompt, up to [`GenerateOptions::batch_max`] of them at once: one that ends makes room for the next.
/// Each prompt draws from its own seed, made of the option and its index, and its completion does not depend on the
/// others. The completions come in the order of the prompts.
///
/// `on_text` is given the index of a prompt and the next piece of its completion, always whole characters, and ends the
/// generation of all by breaking: completions are then what is there, with [`Finish::Interrupted`].
///
/// # Errors
/// Where a prompt is empty or leaves no room, an option makes no sense, or a tensor operation fails.
pub fn generate(
    model: &Model,
    adapter: Option<&Adapter>,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Completion>, GenerateError> {
    options.check()?;
    check_prompts(model.config.positions_max, prompts)?;
    let mut completions = vec![Completion::nothing(); prompts.len()];
    let mut keep = |Rollout { prompt, tokens, text, finish, .. }: Rollout| {
        completions[prompt] = Completion { tokens, text, finish };
    };
    let mut batch = Batch::new(model, adapter, prompts, 1, options)?;
    let mut flow = ControlFlow::Continue(());
    while flow.is_continue() && batch.advance()? {
        flow = batch.running().iter_mut().try_for_each(|sequence| match (sequence.prompt, sequence.take_piece()) {
            (_, "") => ControlFlow::Continue(()),
            (prompt, piece) => on_text(prompt, piece),
        });
        batch.take_finished().into_iter().for_each(&mut keep);
    }
    batch.into_unfinished().for_each(keep);
    Ok(completions)
}

/// Refuses prompts that nothing can go on from.
pub(crate) fn check_prompts(positions_max: usize, prompts: &[Vec<u32>]) -> Result<(), GenerateError> {
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt { index });
        }
        if prompt.len() >= positions_max {
            return Err(GenerateError::TooLong { index, tokens: prompt.len(), tokens_max: positions_max - 1 });
        }
    }
    Ok(())
}

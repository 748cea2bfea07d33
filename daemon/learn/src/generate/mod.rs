//! Batched generation, and scoring of given answers.

mod batch;
mod options;
mod sampler;
mod score;
#[cfg(test)]
mod tests;
mod text_stream;

use std::ops::ControlFlow;

pub use options::{Completion, Finish, GenerateError, GenerateOptions};
pub use score::{Scored, score};

use crate::{adapter::Adapter, model::Model};

/// Goes on from each prompt, up to [`GenerateOptions::batch_max`] of them at once: one that ends makes room for the next.
/// Each prompt draws from its own seed, made of the option and its index, so that its completion does not depend on the
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
    let positions_max = model.config.positions_max;
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt { index });
        }
        if prompt.len() >= positions_max {
            return Err(GenerateError::TooLong { index, tokens: prompt.len(), tokens_max: positions_max - 1 });
        }
    }
    batch::Batch::new(model, adapter, prompts, options).run(on_text)
}

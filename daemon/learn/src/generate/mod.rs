//! Batched generation, and scoring of given answers.

mod options;
mod score;

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
    let _ = (model, adapter, prompts, options, on_text);
    todo!()
}

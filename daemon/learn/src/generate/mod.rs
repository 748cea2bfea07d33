//! Batched generation, and scoring of given answers.

mod divergence;
mod engine;
mod score;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use divergence::{Divergence, divergence};
pub use engine::{NextLogits, generate_with};
pub use score::{Scored, score};

pub use crate::decode::{EngineError, Finish, GenerateError, GenerateOptions};
use crate::{
    adapter::Adapter,
    decode::{Batch, Rollout, check_prompts},
    model::Model,
};

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The tokens, with the one that ended it where there is one.
    pub tokens: Vec<u32>,
    /// The text, without special tokens and stop texts.
    pub text: String,
    /// Why it ends here.
    pub finish: Finish,
}

impl Completion {
    /// What there is of one that has not begun.
    fn nothing() -> Self {
        Self { tokens: Vec::new(), text: String::new(), finish: Finish::Interrupted }
    }
}

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

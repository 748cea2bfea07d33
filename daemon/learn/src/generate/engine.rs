use std::ops::ControlFlow;

use super::{Completion, GenerateError, GenerateOptions};
use crate::{
    decode::{EngineError, Rollout, Sequence, check_prompts},
    tokenize::Tokenizer,
};

/// A decoder that is not this crate's. It is at one sequence.
pub trait NextLogits {
    /// The most tokens of a sequence.
    fn positions_max(&self) -> usize;

    /// Forgets the sequence.
    fn restart(&mut self);

    /// Takes tokens in behind those before them, and gives the logits of the vocabulary after the last.
    ///
    /// # Errors
    /// Where it fails; the sequence is lost then.
    fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>, EngineError>;
}

/// As [`generate`](super::generate), by a decoder that is not this crate's: one prompt after another. `tokenizer` is the model's.
///
/// # Errors
/// As there, or where the decoder fails.
pub fn generate_with(
    engine: &mut dyn NextLogits,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Completion>, GenerateError> {
    options.check()?;
    check_prompts(engine.positions_max(), prompts)?;
    let mut completions = vec![Completion::nothing(); prompts.len()];
    for (index, prompt) in prompts.iter().enumerate() {
        let new_tokens_max = options.max_new_tokens.min(engine.positions_max() - prompt.len());
        let mut sequence = Sequence::new((index, 0), 0, new_tokens_max, tokenizer, options);
        let mut flow = ControlFlow::Continue(());
        engine.restart();
        let mut logits = engine.logits(prompt).map_err(GenerateError::Engine)?;
        loop {
            sequence.advance(&mut logits)?;
            let piece = sequence.take_piece();
            if !piece.is_empty() {
                flow = on_text(index, piece);
            }
            if flow.is_break() || sequence.is_finished() {
                break;
            }
            logits = engine.logits(&[sequence.last]).map_err(GenerateError::Engine)?;
        }
        let Rollout { tokens, text, finish, .. } = sequence.into_rollout();
        completions[index] = Completion { tokens, text, finish };
        if flow.is_break() {
            break;
        }
    }
    Ok(completions)
}

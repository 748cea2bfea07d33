use std::error::Error;

use crate::tokenize::TokenizerError;

/// Why somebody else's decoder gives no logits.
pub type EngineError = Box<dyn Error + Send + Sync>;

/// How completions are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Tokens after which a completion is cut off.
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the most likely token each time.
    pub temperature: f32,
    /// Draws from the most likely tokens that make up this probability; 1 draws from all.
    pub top_p: f32,
    /// Draws from this many of the most likely tokens; 0 draws from all.
    pub top_k: usize,
    /// Draws from the tokens that are at least this many times as likely as the likeliest; 0 draws from all
    /// (arXiv 2407.01082).
    pub min_p: f32,
    /// With the index of the prompt, the seed of its draws.
    pub seed: u64,
    /// Texts that end a completion; they are not part of it.
    pub stop: Vec<String>,
    /// Sequences that run at the same time.
    pub batch_max: usize,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            seed: 0,
            stop: Vec::new(),
            batch_max: 16,
        }
    }
}

impl GenerateOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`GenerateError::Option`], which names the first that makes no sense.
    pub fn check(&self) -> Result<(), GenerateError> {
        let problem = |option, problem| Err(GenerateError::Option { option, problem });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return problem("temperature", "must be 0 or a number above it");
        }
        if !(0.0..=1.0).contains(&self.top_p) {
            return problem("top_p", "must lie between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return problem("min_p", "must lie between 0 and 1");
        }
        if self.max_new_tokens == 0 {
            return problem("max_new_tokens", "must be at least 1");
        }
        if self.batch_max == 0 {
            return problem("batch_max", "must be at least 1");
        }
        if self.stop.iter().any(String::is_empty) {
            return problem("stop", "holds an empty text, which everything begins with");
        }
        Ok(())
    }
}

/// Why a completion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model said so.
    EndToken,
    /// It came to a stop text.
    StopText,
    /// It came to the limit of tokens, or of the model's context.
    Length,
    /// The caller broke off.
    Interrupted,
}

/// Why nothing is generated or scored.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A prompt has no tokens to go on from.
    #[error("prompt {index} is empty")]
    EmptyPrompt {
        /// Counted from 0, in the order in which the caller gave them.
        index: usize,
    },
    /// A sequence is longer than the model's context.
    #[error("sequence {index} has {tokens} tokens, and the model takes at most {tokens_max}: shorten it")]
    TooLong {
        /// Counted from 0, in the order in which the caller gave them.
        index: usize,
        /// Its length.
        tokens: usize,
        /// The model's limit.
        tokens_max: usize,
    },
    /// An option is out of range.
    #[error("`{option}` {problem}")]
    Option {
        /// As the field of [`GenerateOptions`] is called.
        option: &'static str,
        /// What is wrong, as the rest of a sentence.
        problem: &'static str,
    },
    /// Tokens do not become text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Somebody else's decoder failed.
    #[error(transparent)]
    Engine(EngineError),
    /// A tensor operation failed.
    #[error("running the model: {0}")]
    Candle(#[from] candle_core::Error),
}

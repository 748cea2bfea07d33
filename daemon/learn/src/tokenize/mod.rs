//! Text as tokens: tokenizers, chat templates, and which tokens of a sample are learned.

mod encode;
mod error;
mod template;
mod tokenizer;

pub use encode::{Encoded, encode, encode_prompt};
pub use error::{EncodeError, TokenizerError};
pub use template::ChatTemplate;
pub use tokenizer::{SpecialTokens, Tokenizer};

//! Text as tokens: tokenizers, chat templates, and which tokens of a sample are learned.

mod as_chat;
mod clock;
mod control;
mod encode;
mod ends;
mod error;
mod gguf;
mod gguf_write;
mod jinja;
mod pieces;
mod pre_tokenizer;
mod preference;
mod splice;
mod template;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tokenizer;
mod turn_end;
mod turns;

pub use encode::{Encoded, Notes, encode, encode_prompt, encode_with_notes};
pub use ends::{EndReason, EndToken};
pub use error::{EncodeError, TokenizerError};
pub(crate) use gguf::from_gguf;
pub(crate) use gguf_write::to_gguf;
pub use preference::encode_preference;
pub use template::ChatTemplate;
pub use tokenizer::{SpecialTokens, Tokenizer};

//! What reward functions do with text again and again: find the answer in a completion, normalise it, count what it
//! shares with another.

mod extract;
mod ngrams;
mod normalize;

pub use extract::Extract;
pub use ngrams::{Counts, counts, f1, ngrams, overlap};
pub use normalize::{Normalize, squad_tokens};

//! Decoders of families that the learner's own does not know, by candle-transformers: they are asked, never trained.
//!
//! Each family is one file in `family/`. It reads `config.json` key by key and means by it what transformers means, or refuses by the
//! key's name: what candle would silently leave out is refused here. [`Decoder`] runs whichever family claims a folder, in f32 on the
//! CPU, within [`POSITIONS_MAX`].
//!
//! Files are somebody else's: tensors come through [`TensorSource`].

mod decoder;
mod error;
mod family;
mod keys;
mod rope;
mod sizes;
mod weights;

pub use decoder::Decoder;
pub use error::FamilyError;
pub use family::{claims, model_types};
pub use sizes::POSITIONS_MAX;
pub use weights::{SourceError, TensorSource};

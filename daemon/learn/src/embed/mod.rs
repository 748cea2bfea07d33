//! Sentence vectors, for the replay buffer and for search.

mod sif;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

use crate::{
    model::{Attention, Decoder, Model, Rows},
    tokenize::{Tokenizer, TokenizerError},
};

/// Tokens of a text that a vector is made of; a longer text is represented by its beginning.
pub const EMBEDDED_TOKENS_MAX: usize = 512;

/// How a text becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Smooth inverse frequency: a weighted mean of token embeddings, without a forward pass. Arora, Liang and Ma:
    /// "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017.
    Sif,
    /// The mean of the residual stream after this many layers.
    Hidden {
        /// The number of layers, from 1.
        layers: usize,
    },
}

/// Why a text does not become a vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model has no such layer.
    #[error("the embedding layer must lie between 1 and {layers_max}, the model's number of layers; {layers} does not")]
    Layer {
        /// What was asked for.
        layers: usize,
        /// The model's number of layers.
        layers_max: usize,
    },
    /// A text does not become tokens.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A tensor operation failed.
    #[error("embedding: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Turns texts into unit vectors. Cloning is cheap.
#[derive(Clone)]
pub struct Embedder {
    tokenizer: Tokenizer,
    dim: usize,
    tokens_max: usize,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Sif(sif::Sif),
    Hidden { decoder: Decoder, layers: usize },
}

impl Embedder {
    /// An embedder over a base model, which it shares.
    ///
    /// # Errors
    /// Where the model has fewer layers than the method asks for.
    pub fn new(model: &Model, method: Method) -> Result<Self, EmbedError> {
        let source = match method {
            Method::Sif => Source::Sif(sif::Sif::new(model.decoder.embeddings())?),
            Method::Hidden { layers } => {
                let layers_max = model.decoder.layer_count();
                if !(1..=layers_max).contains(&layers) {
                    return Err(EmbedError::Layer { layers, layers_max });
                }
                Source::Hidden { decoder: model.decoder.clone(), layers }
            }
        };
        let tokens_max = model.config.positions_max.min(EMBEDDED_TOKENS_MAX);
        Ok(Self { tokenizer: model.tokenizer.clone(), dim: model.config.hidden_size, tokens_max, source })
    }

    /// The length of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A unit vector for each text; all zeros for a text without tokens.
    ///
    /// # Errors
    /// Where a text cannot be tokenized, or the forward pass fails.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        texts.iter().map(|text| self.embed_one(text)).collect()
    }

    fn embed_one(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let mut tokens = self.tokenizer.encode_rendered(text)?;
        tokens.truncate(self.tokens_max);
        if tokens.is_empty() {
            return Ok(vec![0.0; self.dim]);
        }
        let mean = match &self.source {
            Source::Sif(sif) => sif.mean(&tokens)?,
            Source::Hidden { decoder, layers } => {
                let (rows, cu_seqlens) = Rows::packed(&[tokens]);
                decoder.hidden_after(*layers, &rows, Attention::Packed(&cu_seqlens))?.mean(0)?
            }
        };
        unit_length(&mean)
    }
}

fn unit_length(vector: &Tensor) -> Result<Vec<f32>, EmbedError> {
    let mut values = vector.to_vec1::<f32>()?;
    let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
    Ok(values)
}

//! Sentence vectors, for the replay buffer and for search.

mod near;
mod sif;
#[cfg(test)]
mod tests;

pub use near::{distances, nearest};

use crate::{
    model::{Attention, Decoder, Model, Rows, Workspace},
    tokenize::{Tokenizer, TokenizerError},
};

/// Tokens of a text that a vector is made of; a longer text is represented by its beginning.
pub const EMBEDDED_TOKENS_MAX: usize = 512;

/// Rows of one forward pass.
const ROWS_MAX: usize = 2048;

/// How a text becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Smooth inverse frequency: a weighted mean of token embeddings, without a forward pass. Arora, Liang and Ma:
    /// "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017.
    Sif,
    /// The mean direction of the residual stream after this many layers. Directions, since the first token of a text is
    /// where attention goes to rest: its vector is a hundred times longer than the others, and much the same in all texts.
    Hidden {
        /// The number of layers, from 1.
        layers: usize,
    },
}

impl Method {
    /// That a model with so many layers can do it.
    ///
    /// # Errors
    /// [`EmbedError::Layer`]
    pub fn check(self, layers_max: usize) -> Result<(), EmbedError> {
        match self {
            Self::Hidden { layers } if !(1..=layers_max).contains(&layers) => {
                Err(EmbedError::Layer { layers, layers_max })
            }
            Self::Sif | Self::Hidden { .. } => Ok(()),
        }
    }
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
        method.check(model.decoder.layer_count())?;
        let source = match method {
            Method::Sif => Source::Sif(sif::Sif::new(model.decoder.embeddings())?),
            Method::Hidden { layers } => Source::Hidden { decoder: model.decoder.clone(), layers },
        };
        let tokens_max = model.config.positions_max.min(EMBEDDED_TOKENS_MAX);
        let (tokenizer, dim) = (model.tokenizer.clone(), model.config.hidden_size);
        Ok(Self { tokenizer, dim, tokens_max, source })
    }

    /// The length of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A unit vector for each text; all zeros for a text without tokens. Tokens that the model has no row for do not count.
    ///
    /// # Errors
    /// Where a text cannot be tokenized, or the forward pass fails.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(self.embed_counting(texts)?.into_iter().map(|(vector, _)| vector).collect())
    }

    /// As [`embed`](Self::embed), with the number of tokens of each text, those that its vector is not made of included.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_counting(&self, texts: &[&str]) -> Result<Vec<(Vec<f32>, usize)>, EmbedError> {
        let tokens = texts.iter().map(|text| self.tokenizer.encode_what_has_rows(text));
        let mut tokens = tokens.collect::<Result<Vec<_>, TokenizerError>>()?;
        let counts: Vec<usize> = tokens.iter().map(Vec::len).collect();
        tokens.iter_mut().for_each(|tokens| tokens.truncate(self.tokens_max));
        let mut vectors = vec![vec![0.0; self.dim]; texts.len()];
        let mut waiting: Vec<usize> = (0..texts.len()).filter(|text| !tokens[*text].is_empty()).collect();
        while !waiting.is_empty() {
            let later = waiting.split_off(self.pass_len(&waiting, &tokens));
            let pass: Vec<&[u32]> = waiting.iter().map(|text| tokens[*text].as_slice()).collect();
            for (text, mean) in waiting.iter().zip(self.means(&pass)?) {
                vectors[*text] = unit_length(&mean);
            }
            waiting = later;
        }
        Ok(vectors.into_iter().zip(counts).collect())
    }

    /// How many of the next texts go through the model together.
    fn pass_len(&self, waiting: &[usize], tokens: &[Vec<u32>]) -> usize {
        let rows = waiting.iter().scan(0, |rows, text| {
            *rows += tokens[*text].len();
            Some(*rows)
        });
        rows.take_while(|rows| *rows <= ROWS_MAX).count().max(1)
    }

    /// The direction of each text: the mean, or a multiple of it.
    fn means(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f64>>, EmbedError> {
        match &self.source {
            Source::Sif(sif) => Ok(texts.iter().map(|tokens| sif.mean(tokens)).collect()),
            Source::Hidden { decoder, layers } => {
                let (rows, cu_seqlens) = Rows::packed(texts);
                let attention = Attention::Packed(&cu_seqlens);
                let stream = decoder.hidden_after(*layers, &rows, attention, &mut Workspace::default())?;
                let mut rows = stream.rows();
                let mean = |text: &&[u32]| {
                    let mut sum = vec![0.0; self.dim];
                    for row in rows.by_ref().take(text.len()) {
                        let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) / norm);
                    }
                    sum
                };
                Ok(texts.iter().map(mean).collect())
            }
        }
    }
}

fn unit_length(vector: &[f64]) -> Vec<f32> {
    let norm = vector.iter().map(|value| value.powi(2)).sum::<f64>().sqrt();
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    vector.iter().map(|value| (value * scale) as f32).collect()
}

//! Sentence vectors, for the replay buffer and for search.

use crate::{generate::GenerateError, model::Model};

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

/// Turns texts into unit vectors. Cloning is cheap.
#[derive(Clone)]
pub struct Embedder;

impl Embedder {
    /// An embedder over a base model.
    ///
    /// # Errors
    /// Where the model has fewer layers than the method asks for.
    pub fn new(model: &Model, method: Method) -> Result<Self, GenerateError> {
        let _ = (model, method);
        todo!()
    }

    /// The length of the vectors.
    pub fn dim(&self) -> usize {
        todo!()
    }

    /// A unit vector for each text; all zeros for a text without tokens.
    ///
    /// # Errors
    /// Where a text cannot be tokenized, or the forward pass fails.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, GenerateError> {
        let _ = texts;
        todo!()
    }
}

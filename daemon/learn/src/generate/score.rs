use super::GenerateError;
use crate::{adapter::Adapter, model::Model, tokenize::Encoded};

/// How likely a model finds a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The negative log-likelihood of its targets, summed, in nats.
    pub nll_sum: f64,
    /// The number of its targets. Perplexity is `exp(Σ nll_sum / Σ tokens)`.
    pub tokens: usize,
}

/// Scores samples, several packed into one forward pass.
///
/// # Errors
/// Where a sample is longer than the model's context, or a tensor operation fails.
pub fn score(model: &Model, adapter: Option<&Adapter>, samples: &[Encoded]) -> Result<Vec<Scored>, GenerateError> {
    let _ = (model, adapter, samples);
    todo!()
}

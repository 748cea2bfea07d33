use perennial_kernels::token_logprobs;

use super::GenerateError;
use crate::{
    adapter::Adapter,
    model::{AdapterWeights, Attention, Model, Rows, Workspace},
    tokenize::Encoded,
};

/// Rows of one forward pass, unless a single sample has more.
const ROWS_MAX: usize = 2048;

/// How likely a model finds a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    let tokens_max = model.config.positions_max;
    let too_long = samples.iter().position(|sample| sample.tokens.len() > tokens_max);
    if let Some(index) = too_long {
        return Err(GenerateError::TooLong { index, tokens: samples[index].tokens.len(), tokens_max });
    }
    let adapter = adapter.map(|adapter| adapter.to_weights(&model.decoder)).transpose()?;
    let mut workspace = Workspace::default();
    let mut scores = Vec::with_capacity(samples.len());
    let mut rest = samples;
    while !rest.is_empty() {
        let (pass, later) = rest.split_at(pass_len(rest));
        scores.extend(score_pass(model, adapter.as_ref(), pass, &mut workspace)?);
        rest = later;
    }
    Ok(scores)
}

/// How many of the next samples fit into one pass, at least one.
fn pass_len(samples: &[Encoded]) -> usize {
    let ends = samples.iter().scan(0, |rows, sample| {
        *rows += sample.tokens.len();
        Some(*rows)
    });
    ends.take_while(|rows| *rows <= ROWS_MAX).count().max(1)
}

fn score_pass(
    model: &Model,
    adapter: Option<&AdapterWeights>,
    samples: &[Encoded],
    workspace: &mut Workspace,
) -> Result<Vec<Scored>, GenerateError> {
    let sequences: Vec<&[u32]> = samples.iter().map(|sample| sample.tokens.as_slice()).collect();
    let (rows, cu_seqlens) = Rows::packed(&sequences);
    let (mut sources, mut targets, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for (owner, (sample, &start)) in samples.iter().zip(cu_seqlens.iter()).enumerate() {
        let supervised = sample.tokens.iter().zip(&sample.supervised).enumerate().skip(1);
        for (place, (&token, _)) in supervised.filter(|(_, (_, supervised))| **supervised) {
            sources.push(start + place as u32 - 1);
            targets.push(token);
            owners.push(owner);
        }
    }
    let mut scores = vec![Scored::default(); samples.len()];
    if targets.is_empty() {
        return Ok(scores);
    }
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), adapter, workspace)?.select(&sources);
    let logprobs = token_logprobs(hidden.values(), model.decoder.head_weight(), 1.0, &targets)?;
    for (owner, logprob) in owners.into_iter().zip(logprobs) {
        scores[owner].nll_sum -= f64::from(logprob);
        scores[owner].tokens += 1;
    }
    Ok(scores)
}

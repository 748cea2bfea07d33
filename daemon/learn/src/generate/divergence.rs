use super::GenerateError;
use crate::{
    adapter::Adapter,
    model::{AdapterWeights, Attention, Matrix, Model, Rows, Workspace},
    tokenize::Encoded,
};

/// Rows of logits that are in memory for each of the two.
const ROWS_MAX: usize = 128;

/// How far two models are from each other on a sequence, over its supervised tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Divergence {
    /// Σ over tokens of KL(from ‖ to) between the two distributions of the next token, in nats. Where the sequence was drawn from
    /// `from`, it is an unbiased estimate of the divergence of the sequences.
    pub kl_sum: f64,
    /// Σ over tokens of the entropy of `from`'s distribution, in nats.
    pub entropy_sum: f64,
    /// How many tokens.
    pub tokens: usize,
}

/// Compares the distributions of the next token under two adapters of one model; `None` is the model without one. Exact over the
/// vocabulary, so that only the sequences are drawn at random.
///
/// # Errors
/// Where a sequence is longer than the model's context, or a tensor operation fails.
pub fn divergence(
    model: &Model,
    [from, to]: [Option<&Adapter>; 2],
    sequences: &[Encoded],
) -> Result<Vec<Divergence>, GenerateError> {
    let tokens_max = model.config.positions_max;
    if let Some(index) = sequences.iter().position(|sequence| sequence.tokens.len() > tokens_max) {
        return Err(GenerateError::TooLong { index, tokens: sequences[index].tokens.len(), tokens_max });
    }
    let weights = |adapter: Option<&Adapter>| adapter.map(|adapter| adapter.to_weights(&model.decoder)).transpose();
    let (from, to) = (weights(from)?, weights(to)?);
    let mut workspace = Workspace::default();
    sequences.iter().map(|sequence| of_one(model, [from.as_ref(), to.as_ref()], sequence, &mut workspace)).collect()
}

fn of_one(
    model: &Model,
    adapters: [Option<&AdapterWeights>; 2],
    sequence: &Encoded,
    workspace: &mut Workspace,
) -> Result<Divergence, GenerateError> {
    let supervised = sequence.supervised.iter().enumerate().skip(1).filter(|(_, supervised)| **supervised);
    let sources: Vec<u32> = supervised.map(|(place, _)| place as u32 - 1).collect();
    let mut sum = Divergence { tokens: sources.len(), ..Divergence::default() };
    if sources.is_empty() {
        return Ok(sum);
    }
    let mut hidden = |adapter| {
        let (rows, cu_seqlens) = Rows::packed(&[sequence.tokens.as_slice()]);
        model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), adapter, workspace)
    };
    let [from, to] = [hidden(adapters[0])?, hidden(adapters[1])?];
    for sources in sources.chunks(ROWS_MAX) {
        let mut logits = |hidden: &Matrix| model.decoder.logits(&hidden.select(sources), workspace);
        let [from, to] = [logits(&from), logits(&to)];
        for (from, to) in from.rows().zip(to.rows()) {
            let (kl, entropy) = of_logits(from, to);
            sum.kl_sum += kl;
            sum.entropy_sum += entropy;
        }
        for logits in [from, to] {
            workspace.give_matrix(logits);
        }
    }
    Ok(sum)
}

/// KL(from ‖ to) and the entropy of `from`.
fn of_logits(from: &[f32], to: &[f32]) -> (f64, f64) {
    let (log_from, log_to) = (log_sum_exp(from), log_sum_exp(to));
    from.iter().zip(to).fold((0.0, 0.0), |(kl, entropy), (from, to)| {
        let (from, to) = (f64::from(*from) - log_from, f64::from(*to) - log_to);
        let share = from.exp();
        (kl + share * (from - to), entropy - share * from)
    })
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, testing::tiny_model};

    #[test]
    fn a_model_does_not_diverge_from_itself_and_its_entropy_is_that_of_its_logits() {
        let model = tiny_model(Architecture::Llama);
        let tokens: Vec<u32> = (3..40).collect();
        let supervised = (0..tokens.len()).map(|place| place >= 7).collect();
        let sequence = Encoded { tokens, supervised };
        let found = divergence(&model, [None, None], &[sequence.clone(), sequence.clone()]).unwrap();
        assert_eq!(found[0], found[1]);
        assert!(found[0].kl_sum.abs() < 1e-6 && found[0].tokens == 30, "{found:?}");
        let (rows, cu_seqlens) = Rows::packed(&[sequence.tokens.as_slice()]);
        let workspace = &mut Workspace::default();
        let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, workspace).unwrap();
        let logits = model.decoder.logits(&hidden, workspace);
        let entropy = |logits: &[f32]| {
            let shares: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
            let all: f64 = shares.iter().sum();
            shares.iter().map(|share| -(share / all) * (share / all).ln()).sum::<f64>()
        };
        let expected: f64 = logits.rows().skip(6).take(30).map(entropy).sum();
        assert!((found[0].entropy_sum - expected).abs() < 1e-3 * expected, "{found:?} {expected}");
    }

    /// By hand: shares 1/2, 1/4, 1/4 against 1/4, 1/4, 1/2.
    #[test]
    fn divergence_and_entropy_are_those_of_the_formulas() {
        let (from, to) = ([2.0_f32.ln(), 0.0, 0.0], [0.0, 0.0, 2.0_f32.ln()]);
        let (kl, entropy) = of_logits(&from, &to);
        assert!((kl - 0.25 * 2.0_f64.ln()).abs() < 1e-7, "{kl}");
        assert!((entropy - 1.5 * 2.0_f64.ln()).abs() < 1e-7, "{entropy}");
        let (same, _) = of_logits(&from, &from);
        assert!(same.abs() < 1e-12);
        let (uniform, most) = of_logits(&[-700.0; 8], &[300.0; 8]);
        assert!(uniform.abs() < 1e-9 && (most - 8.0_f64.ln()).abs() < 1e-9);
    }
}

//! How rollouts are corrected that another engine sampled: a file each, and a line in [`SamplingCorrection`].

mod none;
mod sequence_mask;
mod sequence_truncate;
mod token_mask;
mod token_truncate;

use crate::train::choice::choice;

choice! {
    /// How rollouts are corrected that another engine sampled, whose log-probabilities differ from the training forward's: by
    /// the names of TRL's `vllm_importance_sampling_mode`. The weight is p(training, before the generation's first step) /
    /// p(engine), of a token or, as a product, of a whole completion.
    SamplingCorrection: Correction {
        /// Not at all: right for rollouts by this crate, which agree with its training forward.
        None(none::None),
        /// A token's weight is clipped into the bounds.
        TokenTruncate(token_truncate::TokenTruncate),
        /// A token whose weight is outside of the bounds is left out.
        TokenMask(token_mask::TokenMask),
        /// A completion's weight is clipped into the bounds.
        SequenceTruncate(sequence_truncate::SequenceTruncate),
        /// A completion whose weight is outside of the bounds is left out. TRL's default for vLLM.
        SequenceMask(sequence_mask::SequenceMask),
    }
}

/// A way to correct.
pub(in crate::train) trait Correction: Sync {
    /// Its name in configurations and fingerprints.
    fn name(&self) -> &'static str;

    /// The weight of each token of a completion, by log p(training) − log p(engine) of each.
    fn weights(&self, differences: &[f64], bounds: Bounds) -> Vec<f64>;
}

/// What a weight may be.
#[derive(Clone, Copy)]
pub(in crate::train) struct Bounds {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Bounds {
    fn truncate(self, weight: f64) -> f64 {
        weight.clamp(self.min, self.max)
    }

    /// 0 for a weight outside of them.
    fn mask(self, weight: f64) -> f64 {
        if (self.min..=self.max).contains(&weight) { weight } else { 0.0 }
    }
}

fn per_token(differences: &[f64], bound: impl Fn(f64) -> f64) -> Vec<f64> {
    differences.iter().map(|difference| bound(difference.exp())).collect()
}

/// The product over the completion, for each of its tokens.
fn whole(differences: &[f64], bound: impl Fn(f64) -> f64) -> Vec<f64> {
    vec![bound(differences.iter().sum::<f64>().exp()); differences.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for correction in SamplingCorrection::ALL {
            assert_eq!(serde_json::from_value::<SamplingCorrection>(correction.as_str().into()).unwrap(), *correction);
        }
    }
}

use std::fmt;

use serde::{Deserialize, Serialize};

mod contains;
mod exact_match;
mod json_field_f1;
mod json_valid;
pub(crate) mod perplexity;
mod token_f1;

/// How a suite scores one item. Every item score is "higher is better"; all but [`Metric::Perplexity`] and
/// [`Metric::Reward`] lie in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// 1 where answer and reference are the same text, blanks at the ends aside.
    ExactMatch,
    /// As [`Metric::ExactMatch`], letter case aside.
    ExactMatchIgnoreCase,
    /// 1 where the answer contains the reference as whole words, letter case aside.
    Contains,
    /// The F1 of the words that answer and reference share, after SQuAD's normalisation.
    TokenF1,
    /// 1 where the answer is one JSON value and nothing else; the reference is not looked at.
    JsonValid,
    /// The F1 of the (path, value) pairs of two JSON objects.
    JsonFieldF1,
    /// The negative log-likelihood per token of the reference, negated; shown as perplexity, where lower is better.
    Perplexity,
    /// The verdict of a reward plugin on the answer, within the plugin's declared range.
    Reward,
}

/// What a metric needs of the model.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// A generated answer, scored against the reference: `score(answer, reference)`.
    Answer(fn(&str, &str) -> f64),
    /// The likelihood of the item's body.
    Likelihood,
    /// A generated answer, judged by a reward plugin.
    Verdict,
}

impl Metric {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact_match",
            Self::ExactMatchIgnoreCase => "exact_match_ignore_case",
            Self::Contains => "contains",
            Self::TokenF1 => "token_f1",
            Self::JsonValid => "json_valid",
            Self::JsonFieldF1 => "json_field_f1",
            Self::Perplexity => "perplexity",
            Self::Reward => "reward",
        }
    }

    /// Whether an item is right or wrong and nothing between.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::ExactMatch | Self::ExactMatchIgnoreCase | Self::Contains | Self::JsonValid)
    }

    /// What it needs of the model.
    pub fn measure(self) -> Measure {
        match self {
            Self::ExactMatch => Measure::Answer(exact_match::score),
            Self::ExactMatchIgnoreCase => Measure::Answer(exact_match::score_ignoring_case),
            Self::Contains => Measure::Answer(contains::score),
            Self::TokenF1 => Measure::Answer(token_f1::score),
            Self::JsonValid => Measure::Answer(json_valid::score),
            Self::JsonFieldF1 => Measure::Answer(json_field_f1::score),
            Self::Perplexity => Measure::Likelihood,
            Self::Reward => Measure::Verdict,
        }
    }

    /// What a person reads for the mean score of a suite: the mean itself, or the perplexity, e to the power of its negative.
    /// The mean is of items, and for perplexity of tokens.
    pub fn shown(self, mean_score: f64) -> f64 {
        match self {
            Self::Perplexity => perplexity::perplexity(mean_score),
            _ => mean_score,
        }
    }

    /// Why this metric cannot use the reference, as the rest of a sentence; `None` where it can.
    pub(crate) fn objection(self, reference: &str) -> Option<&'static str> {
        match self {
            Self::JsonFieldF1 => (!json_field_f1::is_object(reference)).then_some("is not a JSON object"),
            Self::JsonValid | Self::Perplexity | Self::Reward => None,
            _ => reference.trim().is_empty().then_some("is empty"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) use json_field_f1::is_object;

/// The F1 of two multisets of these sizes that share `shared` members; two empty ones are equal.
fn f1(answer_len: usize, reference_len: usize, shared: usize) -> f64 {
    if answer_len + reference_len == 0 {
        return 1.0;
    }
    2.0 * shared as f64 / (answer_len + reference_len) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_and_display_agree() {
        for metric in [
            Metric::ExactMatch,
            Metric::ExactMatchIgnoreCase,
            Metric::Contains,
            Metric::TokenF1,
            Metric::JsonValid,
            Metric::JsonFieldF1,
            Metric::Perplexity,
            Metric::Reward,
        ] {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.to_string());
        }
    }

    #[test]
    fn f1_is_the_harmonic_mean_of_precision_and_recall() {
        let (precision, recall): (f64, f64) = (2.0 / 3.0, 2.0 / 5.0);
        assert!((f1(3, 5, 2) - 2.0 * precision * recall / (precision + recall)).abs() < 1e-15);
        assert_eq!(f1(0, 0, 0), 1.0);
        assert_eq!(f1(0, 2, 0), 0.0);
    }
}

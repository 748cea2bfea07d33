use perennial_types::{Body, Content, Domain, Fingerprint, Fingerprinter};
use serde::{Deserialize, Serialize};

use crate::Metric;

/// One question of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Where it comes from: a sample's id, or `line 12` of a golden file.
    pub id: String,
    /// What the model is asked; empty for plain text, which only [`Metric::Perplexity`] can score.
    pub question: Content,
    /// The right answer.
    pub reference: String,
    /// Question and right answer as a body that can be encoded for training: what the perplexity is taken of.
    pub body: Body,
}

/// A set of eval items with a metric and a role in the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// The name in configuration, reports and metric labels.
    pub name: String,
    /// The domain whose held-out samples it was made of, or that it stands for.
    pub domain: Option<Domain>,
    /// How an item is scored.
    pub metric: Metric,
    /// The items, in a fixed order.
    pub items: Vec<Item>,
    /// Whether a candidate that may have lost here is rejected.
    pub protected: bool,
    /// Whether a gain here is a reason to promote.
    pub target: bool,
    /// The loss of the mean score that is tolerated; see [`SuiteOptions::margin`].
    pub margin: f64,
    /// The longest answer, in tokens.
    pub max_new_tokens: usize,
}

/// What a suite is made with, beside its items.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteOptions {
    /// See [`Suite::name`].
    pub name: String,
    /// See [`Suite::domain`].
    pub domain: Option<Domain>,
    /// How an item is scored; chosen from the references where it is `None` (see [`auto_suite`](crate::auto_suite)).
    pub metric: Option<Metric>,
    /// See [`Suite::protected`].
    pub protected: bool,
    /// See [`Suite::target`].
    pub target: bool,
    /// The loss of the mean score that is tolerated, in the units of the score: a share of 1, or nats per token for
    /// perplexity (0.05 nats are 5 % of perplexity).
    ///
    /// What a margin asks of a suite: with `n` items whose differences have the standard deviation `s`, a candidate that
    /// is neither better nor worse passes 95 times in 100 if `margin >= 3.3 * s / sqrt(n)` (at a confidence of 0.95).
    /// A fifth of yes/no items answered otherwise, as often for the better as for the worse, is `s = 0.45`; 4 % is
    /// `s = 0.2`. So a margin of 0.05 wants 175 items where `s = 0.2` and 400 where `s = 0.3`. Items that both sides
    /// answer alike cost nothing: identical answers give a difference of exactly 0, and pass with any margin.
    pub margin: f64,
    /// See [`Suite::max_new_tokens`].
    pub max_new_tokens: usize,
    /// The most items that are used; a suite made of more keeps a fixed subset.
    pub items_max: usize,
}

/// The default of [`SuiteOptions::margin`].
pub const MARGIN_DEFAULT: f64 = 0.05;
/// The default of [`SuiteOptions::max_new_tokens`].
pub const MAX_NEW_TOKENS_DEFAULT: usize = 128;
/// The default of [`SuiteOptions::items_max`]: see [`SuiteOptions::margin`] for why it is not smaller.
pub const ITEMS_MAX_DEFAULT: usize = 200;

impl SuiteOptions {
    /// A protected suite that is no target, with the default limits and a metric chosen from its references.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            domain: None,
            metric: None,
            protected: true,
            target: false,
            margin: MARGIN_DEFAULT,
            max_new_tokens: MAX_NEW_TOKENS_DEFAULT,
            items_max: ITEMS_MAX_DEFAULT,
        }
    }
}

/// A suite that cannot serve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SuiteError {
    /// Nothing to ask.
    #[error("suite {0}: it has no items")]
    Empty(String),
    /// The margin is no tolerated loss.
    #[error("suite {name}: the margin must be a number not below 0, not {margin}")]
    Margin {
        /// The suite.
        name: String,
        /// What was given.
        margin: f64,
    },
    /// An item that its metric cannot score.
    #[error("suite {name}: the reference of item {item} {problem}, which {metric} needs; choose another metric")]
    Reference {
        /// The suite.
        name: String,
        /// The item's id.
        item: String,
        /// The metric.
        metric: Metric,
        /// What is wrong, as the rest of a sentence.
        problem: &'static str,
    },
    /// An item without a question under a metric that needs an answer.
    #[error("suite {name}: item {item} is plain text without a question; only perplexity can score it, not {metric}")]
    Question {
        /// The suite.
        name: String,
        /// The item's id.
        item: String,
        /// The metric.
        metric: Metric,
    },
}

impl Suite {
    /// A suite of these items; the first [`SuiteOptions::items_max`] are kept, so the caller's order decides which.
    ///
    /// # Errors
    /// Where there is no item, the margin is no number, or the metric cannot score an item.
    pub fn new(options: SuiteOptions, mut items: Vec<Item>) -> Result<Self, SuiteError> {
        let SuiteOptions { name, domain, metric, protected, target, margin, max_new_tokens, items_max } = options;
        items.truncate(items_max);
        if items.is_empty() {
            return Err(SuiteError::Empty(name));
        }
        if !margin.is_finite() || margin < 0.0 {
            return Err(SuiteError::Margin { name, margin });
        }
        let metric = metric.unwrap_or_else(|| crate::auto::choose_metric(&items));
        for item in &items {
            check(&name, metric, item)?;
        }
        Ok(Self { name, domain, metric, items, protected, target, margin, max_new_tokens })
    }

    /// What determines the scores: the metric, the answers' length and the items. Two suites with equal fingerprints
    /// ask the same; role and margin are not part of it.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        fingerprinter.add(self.metric.as_str().as_bytes());
        fingerprinter.add(&(self.max_new_tokens as u64).to_le_bytes());
        for item in &self.items {
            // Items are structs, strings and JSON values with string keys, which always serialize; `Debug` would too.
            let canonical = serde_json::to_vec(item).unwrap_or_else(|_| format!("{item:?}").into_bytes());
            fingerprinter.add(&canonical);
        }
        fingerprinter.finish()
    }
}

fn check(name: &str, metric: Metric, item: &Item) -> Result<(), SuiteError> {
    let (name, id) = (name.to_owned(), item.id.clone());
    if metric != Metric::Perplexity && matches!(item.body, Body::Text { .. }) {
        return Err(SuiteError::Question { name, item: id, metric });
    }
    match metric.objection(&item.reference) {
        Some(problem) => Err(SuiteError::Reference { name, item: id, metric, problem }),
        None => Ok(()),
    }
}

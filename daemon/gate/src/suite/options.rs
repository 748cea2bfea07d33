use perennial_types::Domain;

use super::RewardScale;
#[cfg(doc)]
use super::Suite;
use crate::Metric;

/// What a suite is made with, beside its items.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteOptions {
    /// See [`Suite::name`].
    pub name: String,
    /// See [`Suite::domain`].
    pub domain: Option<Domain>,
    /// How an item is scored; chosen from the references where it is `None` (see [`auto_suite`](crate::auto_suite)).
    pub metric: Option<Metric>,
    /// See [`Suite::reward`].
    pub reward: Option<RewardScale>,
    /// See [`Suite::protected`].
    pub protected: bool,
    /// See [`Suite::target`].
    pub target: bool,
    /// The loss of the mean score that is tolerated, in the units of the score: a share of 1, or nats per token for
    /// perplexity (0.05 nats are 5 % of perplexity).
    ///
    /// What a margin asks of a suite: with `n` items whose differences have the standard deviation `s`, a candidate that
    /// is neither better nor worse passes 95 times in 100 if `margin >= 3.3 * sqrt((s * s + 1 / n) / n) + 1 / n` (at a
    /// confidence of 0.95, with scores in `[0, 1]`). Where 3 % of yes/no items are answered otherwise, as often for the
    /// better as for the worse, `s` is 0.17; at 9 % it is 0.3. So a margin of 0.05 wants 200 items where `s = 0.17`, and
    /// 450 where `s = 0.3`; 50 items want margins of 0.13 and 0.18. Items that both sides answer alike cost nothing: equal
    /// answers give a difference of exactly 0, and pass with any margin. For the same reason a suite cannot see a loss
    /// that befalls fewer than about `3 / n` of all cases: a margin of 0.05 means little below 60 items.
    pub margin: f64,
    /// See [`Suite::max_new_tokens`].
    pub max_new_tokens: usize,
    /// See [`Suite::prompt_as_chat`].
    pub prompt_as_chat: bool,
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
            reward: None,
            protected: true,
            target: false,
            margin: MARGIN_DEFAULT,
            max_new_tokens: MAX_NEW_TOKENS_DEFAULT,
            prompt_as_chat: false,
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
        /// Of the suite.
        name: String,
        /// What was given.
        margin: f64,
    },
    /// A metric without its plugin, or a plugin beside another metric.
    #[error("suite {name}: the metric {metric} and a reward plugin go together: give both or neither")]
    Plugin {
        /// Of the suite.
        name: String,
        /// The metric.
        metric: Metric,
    },
}

use std::fmt::Debug;

use perennial_types::{Body, Content, Domain, Fingerprint, Fingerprinter, Prompt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Metric;

#[cfg(test)]
mod tests;

/// One question of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Where it comes from: a sample's id, or `line 12` of a golden file.
    pub id: String,
    /// What the model is asked, with its tools; empty for plain text, which only [`Metric::Perplexity`] can score.
    pub question: Prompt,
    /// The right answer; empty where there is none and a reward plugin judges.
    pub reference: String,
    /// Question and right answer as a body that can be encoded for training: what the perplexity is taken of. A bare
    /// question where only a reward plugin can tell what a good answer is.
    pub body: Body,
    /// What else its row held; reward plugins may look at it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// An item that a suite was given and does not ask, since nothing could be said of any answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The item's id, or the line of its file.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The reward plugin that judges a suite's answers, as it is when the suite is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardScale {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// Of the plugin and its configuration: verdicts of two versions are never compared.
    pub fingerprint: Fingerprint,
    /// The lowest reward.
    pub min: f64,
    /// The highest reward.
    pub max: f64,
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
    /// Who scores it, with [`Metric::Reward`] and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardScale>,
    /// The items, in a fixed order.
    pub items: Vec<Item>,
    /// What it was given beside them and does not ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Whether a candidate that may have lost here is rejected.
    pub protected: bool,
    /// Whether a gain here is a reason to promote.
    pub target: bool,
    /// The loss of the mean score that is tolerated; see [`SuiteOptions::margin`].
    pub margin: f64,
    /// The longest answer, in tokens.
    pub max_new_tokens: usize,
    /// Whether a question that is a string is asked as a user's turn: the same item then asks something else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prompt_as_chat: bool,
}

// What serde asks for takes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
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

/// Stands in fingerprints behind a string that is asked as a turn.
const AS_TURN: &[u8] = b"prompt_as_chat";

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
        /// The suite.
        name: String,
        /// What was given.
        margin: f64,
    },
    /// A metric without its plugin, or a plugin beside another metric.
    #[error("suite {name}: the metric {metric} and a reward plugin go together: give both or neither")]
    Plugin {
        /// The suite.
        name: String,
        /// The metric.
        metric: Metric,
    },
}

impl Suite {
    /// A suite of these items; the first [`SuiteOptions::items_max`] that can be judged are kept, so the caller's order
    /// decides which. Those before the last of them that the metric cannot judge are in [`Suite::left_out`].
    ///
    /// # Errors
    /// Where there is no item at all, the margin is no number, or plugin and metric do not go together.
    pub fn new(options: SuiteOptions, items: Vec<Item>) -> Result<Self, SuiteError> {
        let SuiteOptions { name, domain, metric, reward, protected, target, margin, .. } = options;
        let SuiteOptions { max_new_tokens, prompt_as_chat, items_max, .. } = options;
        if items.is_empty() {
            return Err(SuiteError::Empty(name));
        }
        if !margin.is_finite() || margin < 0.0 {
            return Err(SuiteError::Margin { name, margin });
        }
        let metric = metric.unwrap_or_else(|| crate::auto::choose_metric(&items));
        if reward.is_some() != (metric == Metric::Reward) {
            return Err(SuiteError::Plugin { name, metric: Metric::Reward });
        }
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for item in items {
            if kept.len() == items_max {
                break;
            }
            match item.objection(metric) {
                None => kept.push(item),
                Some(reason) => left_out.push(LeftOut { id: item.id, reason }),
            }
        }
        let items = kept;
        Ok(Self {
            name,
            domain,
            metric,
            reward,
            items,
            left_out,
            protected,
            target,
            margin,
            max_new_tokens,
            prompt_as_chat,
        })
    }

    /// A suite of which nothing can be asked, for these reasons: it is there to be void by name, since a suite that is
    /// missing guards nothing and says nothing.
    pub fn void(options: SuiteOptions, left_out: Vec<LeftOut>) -> Self {
        let SuiteOptions { name, domain, metric, reward, protected, target, margin, .. } = options;
        let SuiteOptions { max_new_tokens, prompt_as_chat, .. } = options;
        let metric = metric.unwrap_or(Metric::Perplexity);
        Self {
            name,
            domain,
            metric,
            reward,
            items: vec![],
            left_out,
            protected,
            target,
            margin,
            max_new_tokens,
            prompt_as_chat,
        }
    }

    /// What determines the score of one item, beside the model: the metric, the answer's length, the plugin and the item.
    /// Where the item stands in its suite, and what it is called there, matters to plugins alone.
    pub fn item_fingerprint(&self, item: &Item) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        fingerprinter.add(self.metric.as_str().as_bytes());
        match &self.reward {
            Some(reward) => {
                fingerprinter.add(reward.fingerprint.as_bytes());
                fingerprinter.add(&canonical(item));
            }
            None => {
                let Item { question, reference, body, .. } = item;
                fingerprinter.add(&canonical(&Placeless { id: "", question, reference, body }));
            }
        }
        if self.metric != Metric::Perplexity {
            fingerprinter.add(&(self.max_new_tokens as u64).to_le_bytes());
        }
        if self.asks_as_turn(item) {
            fingerprinter.add(AS_TURN);
        }
        fingerprinter.finish()
    }

    /// Whether an item's question is a string that is asked as a turn.
    fn asks_as_turn(&self, item: &Item) -> bool {
        self.prompt_as_chat && matches!(&item.question.content, Content::Text(question) if !question.trim().is_empty())
    }

    /// What determines the scores: the metric, the answers' length and the items. Two suites with equal fingerprints
    /// ask the same; role and margin are not part of it.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        fingerprinter.add(self.metric.as_str().as_bytes());
        fingerprinter.add(&(self.max_new_tokens as u64).to_le_bytes());
        if let Some(reward) = &self.reward {
            fingerprinter.add(reward.fingerprint.as_bytes());
        }
        for item in &self.items {
            fingerprinter.add(&canonical(item));
            if self.asks_as_turn(item) {
                fingerprinter.add(AS_TURN);
            }
        }
        fingerprinter.finish()
    }
}

impl Item {
    /// Why this metric can say nothing of any answer to the item; `None` where it can.
    pub fn objection(&self, metric: Metric) -> Option<String> {
        if metric == Metric::Perplexity {
            return None;
        }
        if matches!(self.body, Body::Text { .. }) {
            return Some(format!("it is plain text without a question, which only perplexity can score, not {metric}"));
        }
        if matches!(&self.question.content, Content::Text(question) if question.trim().is_empty()) {
            return Some(format!("its question is empty; only perplexity can score it, not {metric}"));
        }
        let problem = metric.objection(&self.reference)?;
        Some(format!("its reference {problem}, which {metric} needs"))
    }
}

/// An [`Item`] without what it is called and holds beside, in the same form.
#[derive(Debug, Serialize)]
struct Placeless<'a> {
    id: &'a str,
    question: &'a Prompt,
    reference: &'a str,
    body: &'a Body,
}

fn canonical(item: &(impl Serialize + Debug)) -> Vec<u8> {
    // Items are structs, strings and JSON values with string keys, which always serialize; `Debug` would too.
    serde_json::to_vec(item).unwrap_or_else(|_| format!("{item:?}").into_bytes())
}

use std::{collections::BTreeMap, fmt::Debug};

use perennial_types::{Body, Content, Domain, Fingerprint, Fingerprinter, Prompt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Metric;

mod metric;
mod options;
#[cfg(test)]
mod tests;

pub use options::{ITEMS_MAX_DEFAULT, MARGIN_DEFAULT, MAX_NEW_TOKENS_DEFAULT, SuiteError, SuiteOptions};

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

/// The key of an item's metadata that names what it shares with others: a template, a document.
pub const CLUSTER_KEY: &str = "gate_cluster";

/// Stands in fingerprints behind a string that is asked as a turn.
const AS_TURN: &[u8] = b"prompt_as_chat";

impl Suite {
    /// A suite of these items; the first [`SuiteOptions::items_max`] that can be judged are kept, so the caller's order
    /// decides which. Those before the last of them that the metric cannot judge are in [`Suite::left_out`].
    ///
    /// # Errors
    /// Where there is no item at all, the margin is no number, or plugin and metric do not go together.
    pub fn new(options: SuiteOptions, items: Vec<Item>) -> Result<Self, SuiteError> {
        let name = || options.name.clone();
        if items.is_empty() {
            return Err(SuiteError::Empty(name()));
        }
        if !options.margin.is_finite() || options.margin < 0.0 {
            return Err(SuiteError::Margin { name: name(), margin: options.margin });
        }
        let metric = options.metric.unwrap_or_else(|| metric::choose(&items));
        if options.reward.is_some() != (metric == Metric::Reward) {
            return Err(SuiteError::Plugin { name: name(), metric: Metric::Reward });
        }
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for item in items {
            if kept.len() == options.items_max {
                break;
            }
            match item.objection(metric) {
                None => kept.push(item),
                Some(reason) => left_out.push(LeftOut { id: item.id, reason }),
            }
        }
        Ok(Self { metric, items: kept, ..Self::void(options, left_out) })
    }

    /// A suite of which nothing can be asked, for these reasons: it is there to be void by name, since a suite that is
    /// missing guards nothing and says nothing.
    pub fn void(options: SuiteOptions, left_out: Vec<LeftOut>) -> Self {
        Self {
            name: options.name,
            domain: options.domain,
            metric: options.metric.unwrap_or(Metric::Perplexity),
            reward: options.reward,
            items: Vec::new(),
            left_out,
            protected: options.protected,
            target: options.target,
            margin: options.margin,
            max_new_tokens: options.max_new_tokens,
            prompt_as_chat: options.prompt_as_chat,
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

    /// The cluster of each item: items that ask the same but for case and blanks, or that say they belong together by an equal
    /// [`CLUSTER_KEY`] in their metadata, are no more than one.
    pub fn clusters(&self) -> Vec<usize> {
        let mut known = BTreeMap::new();
        let name = |item: &Item| match item.metadata.get(CLUSTER_KEY) {
            Some(cluster) => (CLUSTER_KEY, Fingerprint::of(cluster.to_string().as_bytes())),
            None => ("question", item.body.question_fingerprint()),
        };
        let mut number = |item: &Item| {
            let next = known.len();
            *known.entry(name(item)).or_insert(next)
        };
        self.items.iter().map(&mut number).collect()
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

use std::{collections::BTreeMap, path::PathBuf};

use perennial_gate::{HackingPolicy, Metric, Policy, Require, Uncertain};
use perennial_types::Domain;
use serde::{Deserialize, Serialize};

/// `[gate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gate {
    pub(crate) confidence: f64,
    pub(crate) false_alarm_max: f64,
    pub(crate) chance_gain_max: f64,
    pub(crate) margin: f64,
    pub(crate) margin_relative: f64,
    pub(crate) resamples: usize,
    pub(crate) require: Require,
    pub(crate) uncertain: Uncertain,
    pub(crate) unjudged_ratio_max: f64,
    pub(crate) max_fault_ratio: f64,
    pub(crate) scores_bytes_max: u64,
    pub(crate) vault_fraction: f64,
    pub(crate) vault_cycles: u64,
    pub(crate) anchor: GateAnchor,
    pub(crate) sequential: SequentialTest,
    pub(crate) hacking: HackingPolicy,
    pub(crate) auto: AutoSuites,
    pub(crate) suite: Vec<Suite>,
}

impl Default for Gate {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            confidence: policy.confidence,
            false_alarm_max: policy.false_alarm_max,
            chance_gain_max: policy.chance_gain_max,
            margin: perennial_gate::MARGIN_DEFAULT,
            margin_relative: policy.margin_relative,
            resamples: policy.resamples,
            require: policy.require,
            uncertain: policy.uncertain,
            unjudged_ratio_max: policy.unjudged_ratio_max,
            max_fault_ratio: policy.max_fault_ratio,
            scores_bytes_max: 256 << 20,
            vault_fraction: 0.1,
            vault_cycles: 10,
            anchor: GateAnchor::default(),
            sequential: SequentialTest::default(),
            hacking: HackingPolicy::default(),
            auto: AutoSuites::default(),
            suite: Vec::new(),
        }
    }
}

/// `[gate.anchor]`: the adapter that a person accepted, and that candidates may not fall behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GateAnchor {
    pub(crate) enabled: bool,
    pub(crate) margin: f64,
    pub(crate) items_max: usize,
    pub(crate) repin: Repin,
}

impl Default for GateAnchor {
    fn default() -> Self {
        Self { enabled: true, margin: Policy::default().anchor_margin, items_max: 400, repin: Repin::Hand }
    }
}

/// Who pins the anchor anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Repin {
    /// People alone.
    Hand,
    /// The gate too, where a new champion is shown to be better than the anchor.
    Test,
}

/// Golden suites of more items are drawn from, where the suite has no number of its own.
const GOLDEN_ITEMS_MAX_DEFAULT: usize = 1000;

/// `[gate.sequential]`: protected suites asked in batches until it is known what they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SequentialTest {
    pub(crate) enabled: bool,
    pub(crate) batch_items: usize,
}

impl Default for SequentialTest {
    fn default() -> Self {
        Self { enabled: false, batch_items: 50 }
    }
}

impl Gate {
    /// What the suite of a domain's held-out samples is made with: the domain's own keys stand above those of all.
    pub(crate) fn auto_of(&self, domain: &Domain) -> AutoSuite {
        let (auto, own) = (&self.auto, self.auto.domain.get(domain).cloned().unwrap_or_default());
        // A domain that names a metric of its own does not take the plugin of all the others along.
        let (metric, plugin) = match own.metric {
            Some(metric) => (Some(metric), own.plugin),
            None => (auto.metric, own.plugin.or_else(|| auto.plugin.clone())),
        };
        AutoSuite {
            items_max: own.items_max.unwrap_or(auto.items_max),
            metric,
            plugin,
            protected: own.protected.unwrap_or(auto.protected),
            target: own.target.unwrap_or(auto.target),
            margin: own.margin.unwrap_or(self.margin),
            max_new_tokens: own.max_new_tokens.unwrap_or(auto.max_new_tokens),
        }
    }

    /// How many items of a golden suite a cycle asks at most.
    pub(crate) fn golden_items_max(&self, name: &str) -> usize {
        let own = self.suite.iter().find(|suite| suite.name == name).and_then(|suite| suite.items_max);
        own.unwrap_or(GOLDEN_ITEMS_MAX_DEFAULT)
    }

    /// The loss that a golden suite tolerates.
    pub(crate) fn margin_of(&self, suite: &Suite) -> f64 {
        suite.margin.unwrap_or(self.margin)
    }
}

/// `[gate.auto]` and `[gate.auto.domain.NAME]` together: see [`Gate::auto_of`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AutoSuite {
    pub(crate) items_max: usize,
    /// Chosen from the references where it is unset.
    pub(crate) metric: Option<Metric>,
    pub(crate) plugin: Option<String>,
    pub(crate) protected: bool,
    pub(crate) target: bool,
    pub(crate) margin: f64,
    pub(crate) max_new_tokens: usize,
}

/// `[gate.auto]`: the suites made of held-out samples, one a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AutoSuites {
    pub(crate) items_max: usize,
    /// Chosen from the references where it is unset.
    pub(crate) metric: Option<Metric>,
    /// The reward plugin of `metric = "reward"`.
    pub(crate) plugin: Option<String>,
    pub(crate) protected: bool,
    pub(crate) target: bool,
    pub(crate) max_new_tokens: usize,
    pub(crate) domain: BTreeMap<Domain, AutoDomain>,
}

impl Default for AutoSuites {
    fn default() -> Self {
        Self {
            items_max: perennial_gate::ITEMS_MAX_DEFAULT,
            metric: None,
            plugin: None,
            protected: true,
            target: true,
            max_new_tokens: perennial_gate::MAX_NEW_TOKENS_DEFAULT,
            domain: BTreeMap::new(),
        }
    }
}

/// `[gate.auto.domain.NAME]`: what differs for one domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AutoDomain {
    pub(crate) items_max: Option<usize>,
    pub(crate) metric: Option<Metric>,
    pub(crate) plugin: Option<String>,
    pub(crate) protected: Option<bool>,
    pub(crate) target: Option<bool>,
    pub(crate) margin: Option<f64>,
    pub(crate) max_new_tokens: Option<usize>,
}

/// `[[gate.suite]]`: a golden suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// Chosen from the references where it is unset.
    pub(crate) metric: Option<Metric>,
    pub(crate) plugin: Option<String>,
    #[serde(default = "yes")]
    pub(crate) protected: bool,
    #[serde(default)]
    pub(crate) target: bool,
    pub(crate) margin: Option<f64>,
    /// [`Gate::golden_items_max`]
    pub(crate) items_max: Option<usize>,
    #[serde(default = "max_new_tokens")]
    pub(crate) max_new_tokens: usize,
}

fn yes() -> bool {
    true
}

fn max_new_tokens() -> usize {
    perennial_gate::MAX_NEW_TOKENS_DEFAULT
}

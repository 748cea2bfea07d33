//! Metrics, suites, statistics and the decision to promote or reject.
//!
//! The gate asks champion and candidate the same items, compares them pair by pair, and refuses the candidate where a
//! protected [`Suite`] is shown to have fallen and a loss beyond its margin is not ruled out: beside the champion, and beside
//! the anchor, which bounds what many small losses come to. It promotes only what is shown to be better at what was new.
//! Nothing here knows a model: answers and likelihoods come through a [`Judge`]. An item that cannot be judged leaves its
//! suite on both sides and is named; a suite that loses too many is void. Read top to bottom:
//!
//! 1. [`load_golden`] and [`auto_suite`] make suites,
//! 2. [`evaluate_items`] scores one side,
//! 3. [`compare`] pairs the sides on one suite and says what the differences show ([`Paired`]),
//! 4. [`decide`] weighs all suites together under a [`Policy`],
//! 5. a [`Report`] keeps it all, as JSON, Markdown and a table.
//!
//! Everything is pure but [`load_golden`], which reads one file; the same input gives the same bytes.

mod anchor;
mod asked;
mod auto;
mod batches;
mod bootstrap;
mod columns;
mod compare;
mod decision;
mod evaluate;
mod flips;
mod golden;
mod hacking;
mod holm;
mod interval;
mod margin;
mod markdown;
mod metric;
mod normal;
mod paired;
mod policy;
mod pool;
mod power;
mod random;
mod reason;
mod report;
mod sequential;
mod suite;
mod suite_report;
mod table;
mod tango;
mod targets;
mod verdict;
mod weigh;

pub use anchor::{AnchorAnswers, AnchorReport, Pinned};
pub use asked::{Asked, Stopped};
pub use auto::auto_suite;
pub use batches::{Batches, InBatches, suits};
pub use compare::{Answers, CompareError, compare};
pub use decision::{Decision, Outcome, decide};
pub use evaluate::{
    Answer, EvaluateError, ItemScore, Judge, JudgeError, Judged, Likelihood, SuiteScores, Unjudged, evaluate_items,
};
pub use golden::{GoldenError, load_golden, parse_golden};
pub use hacking::{PluginSummary, RewardTraining, Trend};
pub use interval::Interval;
pub use margin::{MarginBy, margin_beside};
pub use metric::{Measure, Metric};
pub use paired::{Difference, Paired, Scale};
pub use policy::{HackingAction, HackingPolicy, Policy, PolicyError, Require, UNJUDGED_RATIO_MAX_DEFAULT, Uncertain};
pub use pool::{Against, ITEMS_ALONE_MIN, PoolReport};
pub use power::{CHURN_ASSUMED, items_needed, smallest_seen, tests_of_harm};
pub use reason::Reason;
pub use report::Report;
pub use sequential::{Look, POOLED_ITEMS, Sequential, items_until_safe};
pub use suite::{
    CLUSTER_KEY, ITEMS_MAX_DEFAULT, Item, LeftOut, MARGIN_DEFAULT, MAX_NEW_TOKENS_DEFAULT, RewardScale, Suite,
    SuiteError, SuiteOptions,
};
pub use suite_report::{
    CutAnswers, Faults, Side, SuiteReport, UNJUDGED_ITEMS_MAX, UnjudgedItem, WORST_ITEM_CHARS_MAX, WORST_ITEMS_MAX,
    WorstItem,
};
pub use targets::name_targets;
pub use verdict::Verdict;

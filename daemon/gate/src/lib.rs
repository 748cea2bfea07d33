//! Metrics, suites, statistics and the decision to promote or reject.
//!
//! The gate asks champion and candidate the same items, compares them pair by pair, and lets the candidate pass only if
//! the comparison rules out, at the configured confidence, that a protected [`Suite`] fell by more than its margin.
//! Nothing here knows a model: answers and likelihoods come through a [`Judge`]. An item that cannot be judged leaves its
//! suite on both sides and is named; a suite that loses too many is void. Read top to bottom:
//!
//! 1. [`load_golden`] and [`auto_suite`] make suites,
//! 2. [`evaluate_items`] scores one side,
//! 3. [`compare`] pairs two sides on one suite and bounds the difference ([`difference_interval`]),
//! 4. [`decide`] weighs all suites under a [`Policy`],
//! 5. a [`Report`] keeps it all, as JSON, Markdown and a table.
//!
//! Everything is pure but [`load_golden`], which reads one file; the same input gives the same bytes.

mod auto;
mod compare;
mod decision;
mod evaluate;
mod golden;
mod hacking;
mod interval;
mod markdown;
mod metric;
mod policy;
mod power;
mod reason;
mod report;
mod student;
mod suite;
mod suite_report;
mod table;
mod verdict;

pub use auto::auto_suite;
pub use compare::{CompareError, compare};
pub use decision::{Decision, Outcome, decide};
pub use evaluate::{
    Answer, EvaluateError, ItemScore, Judge, JudgeError, Judged, Likelihood, SuiteScores, Unjudged, evaluate_items,
};
pub use golden::{GoldenError, load_golden, parse_golden};
pub use hacking::{HackingAction, HackingPolicy, PluginSummary, RewardTraining, Trend};
pub use interval::{Difference, Interval, difference_interval};
pub use metric::{Measure, Metric};
pub use policy::{Policy, PolicyError, Require, UNJUDGED_RATIO_MAX_DEFAULT, Uncertain};
pub use power::items_needed;
pub use reason::Reason;
pub use report::Report;
pub use suite::{
    ITEMS_MAX_DEFAULT, Item, LeftOut, MARGIN_DEFAULT, MAX_NEW_TOKENS_DEFAULT, RewardScale, Suite, SuiteError,
    SuiteOptions,
};
pub use suite_report::{
    CutAnswers, Side, SuiteReport, UNJUDGED_ITEMS_MAX, UnjudgedItem, WORST_ITEM_CHARS_MAX, WORST_ITEMS_MAX, WorstItem,
};
pub use verdict::Verdict;

use serde::{Deserialize, Serialize};

use crate::{Against, LeftOut, Side, SuiteReport};

mod display;

/// One reason for a decision, as numbers and as a sentence ([`Display`](std::fmt::Display)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// A suite that must not fall is shown to have fallen.
    Regressed {
        /// By its name.
        suite: String,
        /// The mean difference.
        difference: f64,
        /// The tolerated loss.
        margin: f64,
        /// The chance of such a loss if nothing had changed; reports of older versions have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chance: Option<f64>,
    },
    /// Suites that cannot tell alone tell it together.
    TogetherFell {
        /// Which of them.
        pool: String,
        /// Whom the candidate was compared with.
        against: Against,
        /// How many suites.
        suites: usize,
        /// Their items.
        n: usize,
        /// The mean difference, in margins.
        difference: f64,
        /// The chance of such a loss if nothing had changed.
        chance: f64,
        /// Whether the loss is shown; else its absence is not, and the policy asks for that.
        shown: bool,
    },
    /// A suite that must not fall fell below the anchor.
    BelowAnchor {
        /// By its name.
        suite: String,
        /// The mean difference.
        difference: f64,
        /// The loss that is tolerated in all.
        margin: f64,
        /// The chance of such a loss if nothing had changed.
        chance: f64,
    },
    /// One side could not be judged on too many items that the other could be judged on.
    Faulty {
        /// By its name.
        suite: String,
        /// Whose answers they are.
        side: Side,
        /// How many items.
        faults: usize,
        /// All that the suite has.
        items: usize,
        /// The share that is let pass.
        ratio_max: f64,
        /// One of those items, and what is wrong with it.
        example: Option<LeftOut>,
    },
    /// Nothing improved but what is judged by the reward that was optimised.
    OptimisedGainAlone {
        /// The suites that did.
        suites: Vec<String>,
    },
    /// It passed, and a person did not want it.
    Declined {
        /// Why, as they gave it.
        reason: String,
    },
    /// A suite that must not fall cannot show that it did not.
    Uncertain {
        /// By its name.
        suite: String,
        /// The mean difference.
        difference: f64,
        /// The lower bound of the difference.
        lower: f64,
        /// The tolerated loss.
        margin: f64,
        /// The items compared.
        n: usize,
        /// The items that would tell a loss of the margin from chance, or as many as show its absence in reports of older
        /// versions; 0 where no number would.
        items_needed: usize,
        /// The smallest difference that it could have seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smallest_seen: Option<f64>,
        /// Whether the policy let it pass.
        allowed: bool,
    },
    /// Too few items of a suite that must not fall could be judged.
    Void {
        /// By its name.
        suite: String,
        /// The items that one side or both could not be judged on.
        unjudged: usize,
        /// All that the suite has.
        items: usize,
        /// The share that is let pass.
        ratio_max: f64,
        /// One of those items, and what is wrong with it.
        example: Option<LeftOut>,
    },
    /// Suites that decide were not asked to their end, since harm was shown before.
    NotAsked {
        /// By their names.
        suites: Vec<String>,
    },
    /// A suite that must not fall has too few items to have a say, in reports of older versions.
    TooSmall {
        /// By its name.
        suite: String,
        /// Its items.
        n: usize,
        /// Those that it takes.
        items_needed: usize,
    },
    /// None of the suites that must not fall has items enough to vouch for the candidate, in reports of older versions.
    NothingLargeEnough {
        /// By their names.
        suites: Vec<String>,
    },
    /// A target suite improved.
    Improved {
        /// By its name.
        suite: String,
        /// The mean difference.
        difference: f64,
        /// The lower bound of the difference.
        lower: f64,
    },
    /// No target suite improved.
    NoImprovement {
        /// The target suites.
        suites: Vec<String>,
    },
    /// The policy asks for an improvement, but no suite is a target.
    NoTarget,
    /// There is no suite that could speak for or against.
    NothingMeasured,
    /// The policy asks for no more than that nothing fell, and nothing is shown to have.
    NotWorse {
        /// The suites that were asked.
        suites: usize,
    },
    /// Suspicion of reward hacking: the reward rose while a suite that it does not score fell.
    RewardAgainstSuite {
        /// By its name.
        suite: String,
        /// The mean reward when training began.
        first: f64,
        /// And when it ended.
        last: f64,
        /// The suite's mean difference.
        difference: f64,
    },
    /// Suspicion of reward hacking: the reward rose, and no target suite that it does not score improved.
    RewardWithoutGain {
        /// The mean reward when training began.
        first: f64,
        /// And when it ended.
        last: f64,
        /// The target suites.
        suites: Vec<String>,
    },
    /// Suspicion of reward hacking: the policy is far from its reference.
    FarFromReference {
        /// In nats per token.
        kl: f64,
        /// What is tolerated.
        kl_max: f64,
    },
    /// Suspicion of reward hacking: completions became much longer or shorter.
    LengthDrift {
        /// The mean number of tokens when training began.
        first: f64,
        /// And when it ended.
        last: f64,
        /// The ratio that is tolerated.
        ratio_max: f64,
    },
}

impl Reason {
    pub(crate) fn uncertain(report: &SuiteReport, allowed: bool) -> Self {
        let SuiteReport { suite, difference, margin, n, items_needed, smallest_seen, .. } = report;
        Self::Uncertain {
            suite: suite.clone(),
            difference: difference.mean,
            lower: difference.lower,
            margin: *margin,
            n: *n,
            items_needed: items_needed.unwrap_or_default(),
            smallest_seen: *smallest_seen,
            allowed,
        }
    }
}

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What came of asking one plugin about one sample. The four are kept apart everywhere: none of them is a reward of zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "value", rename_all = "snake_case")]
pub enum Outcome {
    /// The plugin gave a score that keeps its own promises.
    Scored(Score),
    /// The plugin has no opinion, with its reason.
    Abstained(String),
    /// The plugin failed, in a way that it would fail in again.
    Faulted(Fault),
    /// The deadline passed. Not deterministic: a faster or less busy machine may have come to another outcome.
    TimedOut(String),
}

/// The kind of an [`Outcome`], for metrics and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// See [`Outcome::Scored`].
    Scored,
    /// See [`Outcome::Abstained`].
    Abstained,
    /// See [`Outcome::Faulted`].
    Faulted,
    /// See [`Outcome::TimedOut`].
    TimedOut,
}

impl OutcomeKind {
    /// All kinds, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Scored, Self::Abstained, Self::Faulted, Self::TimedOut];

    /// The name in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Abstained => "abstained",
            Self::Faulted => "faulted",
            Self::TimedOut => "timed_out",
        }
    }
}

impl Outcome {
    /// Which of the four it is.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Scored(_) => OutcomeKind::Scored,
            Self::Abstained(_) => OutcomeKind::Abstained,
            Self::Faulted(_) => OutcomeKind::Faulted,
            Self::TimedOut(_) => OutcomeKind::TimedOut,
        }
    }

    /// The reward, where there is one.
    pub fn reward(&self) -> Option<f64> {
        match self {
            Self::Scored(score) => Some(score.reward),
            _ => None,
        }
    }

    /// The sentence for the operator: why there is no score, or the plugin's reason for the one there is.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Scored(score) => score.reason.as_deref(),
            Self::Abstained(reason) => Some(reason),
            Self::Faulted(fault) => Some(&fault.message),
            Self::TimedOut(message) => Some(message),
        }
    }
}

/// How good a completion is. Everything in it is finite and inside the range that the plugin's descriptor declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What training maximises.
    pub reward: f64,
    /// Named components, each of the descriptor's names at most once.
    pub parts: Vec<(String, f64)>,
    /// Why, in the plugin's words.
    pub reason: Option<String>,
}

/// Why a plugin did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// The whole sentence: which plugin, what happened, what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a call has no verdict, as metrics and journals tell faults apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The guest's code trapped: a panic, a failed assertion, a bad access.
    Trap,
    /// The fuel of the call ran out.
    OutOfFuel,
    /// More memory or table elements were asked for than allowed.
    OutOfMemory,
    /// The calls nest too deeply.
    Stack,
    /// More data was handed to the host than allowed.
    Transfer,
    /// The answer is not what the interface and the plugin's own descriptor promise.
    Contract,
    /// The plugin's own `bad-config`.
    BadConfig,
    /// The plugin's own `bad-input`.
    BadInput,
    /// The plugin's own `internal`.
    Internal,
    /// The host could not run the call.
    Host,
}

impl FaultKind {
    /// The name in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::Stack => "stack",
            Self::Transfer => "transfer",
            Self::Contract => "contract",
            Self::BadConfig => "bad_config",
            Self::BadInput => "bad_input",
            Self::Internal => "internal",
            Self::Host => "host",
        }
    }
}

/// What one call of a plugin gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoring {
    /// One outcome per completion, in the task's order.
    pub outcomes: Vec<Outcome>,
    /// What the call took.
    pub cost: Cost,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
    /// The log lines beyond [`log_lines_max`](crate::HostOptions::log_lines_max), which were dropped.
    pub log_lines_dropped: u64,
}

impl Scoring {
    /// What a call comes to that was not made.
    pub fn all(outcome: Outcome, samples: usize) -> Self {
        Self { outcomes: vec![outcome; samples], cost: Cost::default(), log: Vec::new(), log_lines_dropped: 0 }
    }

    /// Why the call met the deadline, where it did. A call does so as a whole.
    pub fn time_out(&self) -> Option<&str> {
        match self.outcomes.first() {
            Some(Outcome::TimedOut(message)) => Some(message),
            _ => None,
        }
    }
}

/// What one call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The fuel spent. The same for the same call, always.
    pub fuel: u64,
    /// The largest linear memory held, in bytes.
    pub memory_bytes_peak: u64,
    /// The time by the clock.
    pub took: Duration,
}

/// One line of a plugin's log, cut to length, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How important the plugin finds it.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// The level of a [`LogLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// For the curious.
    Info,
    /// For the operator.
    Warn,
}

//! What the daemon does, and what keeps rows from coming in.

use perennial_types::CycleId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// What is under way: shown by `perennial status`, by systemd and in `/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Activity {
    /// The cycle that runs, if one does.
    #[schema(value_type = Option<schemas::CycleId>)]
    pub(crate) cycle: Option<CycleId>,
    /// The phase it works on.
    pub(crate) phase: Option<String>,
    /// The training step reached and the number of steps.
    pub(crate) step: Option<(u64, u64)>,
    /// The items of suites that one side was asked in the evaluation, or the samples that were scored for replay, and all that are.
    #[serde(default)]
    pub(crate) items: Option<(u64, u64)>,
    /// The training loss at that step.
    pub(crate) loss: Option<f64>,
    /// Supervised and context tokens trained on in a second.
    pub(crate) tokens_per_second: Option<f64>,
    /// The last error that kept a cycle from going on.
    pub(crate) trouble: Option<String>,
    /// What keeps the next cycle from being begun.
    #[serde(default)]
    pub(crate) blocked: Option<Blocked>,
    /// When the next try comes by itself, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub(crate) retry_ms: Option<i64>,
}

/// What keeps cycles from being begun, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Blocked {
    /// In milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// What is wrong, with what to do about it.
    pub(crate) reason: String,
}

/// What keeps rows from coming in: shown beside the [`Activity`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IntakeTrouble {
    /// Whether the disk is full: nothing is taken in until there is room.
    pub(crate) storage_full: bool,
    /// How many files of the inbox were set aside, for they cannot be taken or moved.
    pub(crate) set_aside_files: u64,
    /// The first of them.
    pub(crate) set_aside: Vec<SetAside>,
}

/// A file of the inbox that is no longer tried, until it changes or the daemon starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SetAside {
    /// The file's name.
    pub(crate) file: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Why it did not go.
    pub(crate) reason: String,
}

impl Activity {
    /// One line, as systemd's `STATUS=` shows it.
    pub(crate) fn line(&self) -> String {
        let Some(cycle) = self.cycle else {
            return match (&self.trouble, &self.blocked) {
                (Some(trouble), _) => format!("waiting to try again: {trouble}"),
                (None, Some(blocked)) => format!("no cycle can be begun: {}", blocked.reason),
                (None, None) => "watching for samples".to_owned(),
            };
        };
        let phase = self.phase.as_deref().unwrap_or("starting");
        match (self.step, self.items) {
            (Some((step, steps)), _) => format!("cycle {cycle}: {phase}, step {step} of {steps}"),
            (None, Some((done, items))) => format!("cycle {cycle}: {phase}, item {done} of {items}"),
            (None, None) => format!("cycle {cycle}: {phase}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_what_matters_most() {
        let mut activity = Activity::default();
        assert_eq!(activity.line(), "watching for samples");
        activity.trouble = Some("no model".into());
        assert_eq!(activity.line(), "waiting to try again: no model");
        activity.cycle = Some(CycleId(3));
        activity.phase = Some("train".into());
        activity.step = Some((4, 9));
        assert_eq!(activity.line(), "cycle 000003: train, step 4 of 9");
    }
}

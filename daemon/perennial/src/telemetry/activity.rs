use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::stuck::Stuck;

/// What is under way: shown by `perennial status`, by systemd and in `/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Activity {
    /// The cycle that runs, if one does.
    pub(crate) cycle: Option<perennial_types::CycleId>,
    /// The phase it works on.
    pub(crate) phase: Option<String>,
    /// The training step reached and the number of steps.
    pub(crate) step: Option<(u64, u64)>,
    /// The items of suites that one side was asked in the evaluation, and those that it is asked in all.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blocked {
    /// In milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// What is wrong, with what to do about it.
    pub(crate) reason: String,
}

/// What keeps rows from coming in: shown beside the [`Activity`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IntakeTrouble {
    /// Whether the disk is full: nothing is taken in until there is room.
    pub(crate) storage_full: bool,
    /// How many files of the inbox were set aside, for they cannot be taken or moved.
    pub(crate) set_aside_files: u64,
    /// The first of them.
    pub(crate) set_aside: Vec<SetAside>,
}

/// A file of the inbox that is no longer tried, until it changes or the daemon starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Holds the current [`Activity`] and counts heartbeats. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ActivityBoard {
    current: Arc<watch::Sender<Activity>>,
    intake: Arc<watch::Sender<IntakeTrouble>>,
    stuck: Arc<watch::Sender<Option<Stuck>>>,
    beats: Arc<AtomicU64>,
}

impl Default for ActivityBoard {
    fn default() -> Self {
        let (current, intake) = (watch::Sender::new(Activity::default()), watch::Sender::new(IntakeTrouble::default()));
        let stuck = Arc::new(watch::Sender::new(None));
        Self { current: Arc::new(current), intake: Arc::new(intake), stuck, beats: Arc::default() }
    }
}

impl ActivityBoard {
    /// What is under way now.
    pub(crate) fn current(&self) -> Activity {
        self.current.borrow().clone()
    }

    /// What keeps rows from coming in now.
    pub(crate) fn intake(&self) -> IntakeTrouble {
        self.intake.borrow().clone()
    }

    /// What kept training from getting on when the loop last looked: for those who must not wait for the registry.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        self.stuck.borrow().clone()
    }

    /// Keeps what was seen to keep training from getting on.
    pub(crate) fn set_stuck(&self, stuck: Option<Stuck>) {
        self.stuck.send_replace(stuck);
    }

    /// Whether the disk is full.
    pub(crate) fn storage_full(&self) -> bool {
        self.intake.borrow().storage_full
    }

    /// Changes what keeps rows from coming in, and says whether that made a difference.
    pub(crate) fn update_intake(&self, change: impl FnOnce(&mut IntakeTrouble)) -> bool {
        self.intake.send_if_modified(|trouble| {
            let before = trouble.clone();
            change(trouble);
            *trouble != before
        })
    }

    /// Told of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Activity> {
        self.current.subscribe()
    }

    /// Changes what is under way.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Activity)) {
        self.current.send_modify(change);
    }

    /// Counts a sign of life.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signs of life there have been: the watchdog is content while this grows.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
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
        activity.cycle = Some(perennial_types::CycleId(3));
        activity.phase = Some("train".into());
        activity.step = Some((4, 9));
        assert_eq!(activity.line(), "cycle 000003: train, step 4 of 9");
    }
}

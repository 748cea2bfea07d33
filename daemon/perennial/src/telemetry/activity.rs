use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What is under way: shown by `perennial status`, by systemd and in `/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Activity {
    /// The cycle that runs, if one does.
    pub(crate) cycle: Option<perennial_types::CycleId>,
    /// The phase it works on.
    pub(crate) phase: Option<String>,
    /// The training step reached and the number of steps.
    pub(crate) step: Option<(u64, u64)>,
    /// The training loss at that step.
    pub(crate) loss: Option<f64>,
    /// Supervised and context tokens trained on in a second.
    pub(crate) tokens_per_second: Option<f64>,
    /// The last error that kept a cycle from going on.
    pub(crate) trouble: Option<String>,
}

impl Activity {
    /// One line, as systemd's `STATUS=` shows it.
    pub(crate) fn line(&self) -> String {
        let Some(cycle) = self.cycle else {
            return match &self.trouble {
                Some(trouble) => format!("waiting to try again: {trouble}"),
                None => "watching for samples".to_owned(),
            };
        };
        let phase = self.phase.as_deref().unwrap_or("starting");
        match self.step {
            Some((step, steps)) => format!("cycle {cycle}: {phase}, step {step} of {steps}"),
            None => format!("cycle {cycle}: {phase}"),
        }
    }
}

/// Holds the current [`Activity`] and counts heartbeats. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ActivityBoard {
    current: Arc<watch::Sender<Activity>>,
    beats: Arc<AtomicU64>,
}

impl Default for ActivityBoard {
    fn default() -> Self {
        Self { current: Arc::new(watch::Sender::new(Activity::default())), beats: Arc::default() }
    }
}

impl ActivityBoard {
    /// What is under way now.
    pub(crate) fn current(&self) -> Activity {
        self.current.borrow().clone()
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

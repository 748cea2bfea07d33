//! Log, metrics, status and heartbeats. A part says what happened once, with [`Telemetry::emit`]; the event knows what
//! that means for the log line, the metrics, the status and the progress bar, so that they never tell different stories.

mod activity;
mod events;
mod journal;
mod labels;
mod log;
mod metrics;
mod progress;
mod told;

use std::sync::Arc;

pub(crate) use self::{
    activity::ActivityBoard,
    events::*,
    labels::{FileOutcome, Phase},
    log::{LogControl, init as init_log},
    metrics::Metrics,
    progress::ProgressBar,
    told::Told,
};

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Telemetry {
    metrics: Arc<Metrics>,
    board: ActivityBoard,
    progress: ProgressBar,
}

/// Something that happened.
pub(crate) trait Event {
    /// Writes the log line, moves the metrics, and says what is now under way.
    fn emit(self, telemetry: &Telemetry);
}

impl Telemetry {
    /// With metrics of its own. `progress` is [`ProgressBar::hidden`] but for commands in a terminal.
    ///
    /// # Errors
    /// Where two metrics have one name, which the tests rule out.
    pub(crate) fn new(progress: ProgressBar) -> prometheus::Result<Self> {
        Ok(Self { metrics: Arc::new(Metrics::new()?), board: ActivityBoard::default(), progress })
    }

    /// Tells what happened. Each event is also a sign of life for the watchdog.
    pub(crate) fn emit(&self, event: impl Event) {
        event.emit(self);
        self.beat();
    }

    /// Tells what was seen by a mere look, which is no sign of life of the work that the watchdog waits for.
    pub(crate) fn emit_quietly(&self, event: impl Event) {
        event.emit(self);
    }

    /// A sign of life without anything to tell: call it in every loop that runs long.
    pub(crate) fn beat(&self) {
        self.board.beat();
        self.metrics.service.heartbeats.inc();
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What is under way, and the heartbeats.
    pub(crate) fn board(&self) -> &ActivityBoard {
        &self.board
    }

    fn progress(&self) -> &ProgressBar {
        &self.progress
    }
}

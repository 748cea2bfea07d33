use perennial_tests::Metrics;

use crate::output;

const PHASES: [(&str, &str); 6] = [
    ("collect", "choosing the new samples"),
    ("mix", "freezing the training set"),
    ("train", "training the candidate"),
    ("evaluate", "scoring champion and candidate"),
    ("decide", "deciding"),
    ("publish", "publishing"),
];

/// Shows how far a daemon's cycle is: a line for each phase, and the steps of training in one that changes.
pub(crate) struct Progress {
    label: String,
    shown: Option<&'static str>,
}

impl Progress {
    /// Of a cycle by this name; nothing is shown yet.
    pub(crate) fn of(label: impl Into<String>) -> Self {
        Self { label: label.into(), shown: None }
    }

    /// Shows what the daemon's metrics say.
    pub(crate) fn show(&mut self, metrics: &Metrics) {
        let running = |phase| metrics.sum("perennial_cycle_phase", &[("phase", phase)]) == Some(1.0);
        let Some((phase, description)) = PHASES.iter().find(|(phase, _)| running(phase)) else { return };
        if self.shown != Some(phase) {
            output::progress("");
            output::note(format!("{}: {description} …", self.label));
            self.shown = Some(phase);
        }
        if *phase == "train" {
            let value = |name: &str| metrics.sum(&format!("perennial_train_{name}"), &[]).unwrap_or(0.0);
            let (step, steps) = (value("step"), value("steps"));
            let (loss, speed) = (value("loss"), value("tokens_per_second"));
            output::progress(&format!("  step {step} of {steps}, loss {loss:.3}, {speed:.0} tokens/s"));
        }
    }
}

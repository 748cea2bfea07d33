use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use perennial_tests::{Daemon, Metrics};
use serde_json::Value;

use crate::output;

/// Far more than a cycle of the demo takes on any machine.
const CYCLE_LIMIT: Duration = Duration::from_secs(60 * 60);

const PHASES: [(&str, &str); 6] = [
    ("collect", "choosing the new samples"),
    ("mix", "freezing the training set"),
    ("train", "training the candidate"),
    ("evaluate", "scoring champion and candidate"),
    ("decide", "deciding"),
    ("publish", "publishing"),
];

/// A cycle that has ended.
pub(crate) struct Cycle {
    /// Its folder's name.
    pub(crate) id: String,
    /// What it trained.
    pub(crate) adapter: String,
    /// Whether that is the champion now.
    pub(crate) promoted: bool,
}

/// Shows the first cycle's progress until it ends.
pub(crate) fn cycle(daemon: &mut Daemon, state: &Path) -> Result<Cycle> {
    let http = daemon.http;
    let mut shown = None;
    let promoted = daemon.wait_for("the end of the cycle", CYCLE_LIMIT, || {
        let metrics = Metrics::parse(&http.get("/metrics")?.body)?;
        show_progress(&metrics, &mut shown);
        outcome(&metrics)
    })?;
    output::progress("");
    let id = "000001".to_owned();
    let report = report(&state.join("cycles").join(&id))?;
    let adapter = report["candidate"].as_str().context("the report names no candidate")?.to_owned();
    Ok(Cycle { id, adapter, promoted })
}

/// Whether the cycle has ended, and whether by promotion.
fn outcome(metrics: &Metrics) -> Result<Option<bool>> {
    let runs = |outcome| metrics.sum("perennial_cycle_runs_total", &[("outcome", outcome)]).unwrap_or(0.0) > 0.0;
    if runs("failed") {
        bail!("the cycle cannot go on");
    }
    Ok(runs("promoted").then_some(true).or(runs("rejected").then_some(false)))
}

fn show_progress(metrics: &Metrics, shown: &mut Option<&'static str>) {
    let running = |phase| metrics.sum("perennial_cycle_phase", &[("phase", phase)]) == Some(1.0);
    let Some((phase, description)) = PHASES.iter().find(|(phase, _)| running(phase)) else { return };
    if *shown != Some(phase) {
        output::progress("");
        output::note(format!("Cycle 1: {description} …"));
        *shown = Some(phase);
    }
    if *phase == "train" {
        let value = |name: &str| metrics.sum(&format!("perennial_train_{name}"), &[]).unwrap_or(0.0);
        let (step, steps) = (value("step"), value("steps"));
        let (loss, speed) = (value("loss"), value("tokens_per_second"));
        output::progress(&format!("  step {step} of {steps}, loss {loss:.3}, {speed:.0} tokens/s"));
    }
}

fn report(cycle: &Path) -> Result<Value> {
    let path = cycle.join("report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

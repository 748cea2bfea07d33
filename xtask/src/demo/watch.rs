use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use perennial_tests::{Daemon, Metrics};
use serde_json::Value;

use crate::{output, progress::Progress};

/// Far more than a cycle of the demo takes on any machine.
const CYCLE_LIMIT: Duration = Duration::from_secs(60 * 60);

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
    let mut progress = Progress::of("Cycle 1");
    let promoted = daemon.wait_for("the end of the cycle", CYCLE_LIMIT, || {
        let metrics = Metrics::parse(&http.get("/metrics")?.body)?;
        progress.show(&metrics);
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

fn report(cycle: &Path) -> Result<Value> {
    let path = cycle.join("report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

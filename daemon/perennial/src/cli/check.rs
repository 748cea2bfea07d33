use anyhow::{Context as _, bail};
use perennial_gate::{SuiteOptions, load_golden};
use perennial_learn::model::Model;

use super::{output, session::Session};
use crate::{
    lock::{DaemonFile, StateLock},
    models,
};

/// Below this much room on the disk, checkpoints and segments may soon not be written any more.
const DISK_BYTES_WARN: u64 = 2 << 30;

/// `perennial check`: everything that can be wrong before anything is done, all of it at once.
pub(super) fn check(session: &Session) -> anyhow::Result<()> {
    session.log_quietly()?;
    let config = match &session.loaded().file {
        Some(file) => Ok(file.display().to_string()),
        None => Ok("no file: everything at its default".to_owned()),
    };
    let checks = [
        ("configuration", config),
        ("state", state(session)),
        ("disk", disk(session)),
        ("model", model(session)),
        ("suites", suites(session)),
    ];
    let mut wrong = 0;
    for (name, outcome) in checks {
        match outcome {
            Ok(found) => output::line(format_args!("ok     {name:<13} {found}")),
            Err(problem) => {
                wrong += 1;
                output::line(format_args!("wrong  {name:<13} {problem:#}"));
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} of the checks failed");
    }
    output::line(plan(session));
    Ok(())
}

fn state(session: &Session) -> anyhow::Result<String> {
    let state = session.state();
    let root = state.root().display();
    if let Some(DaemonFile { pid, address, .. }) = DaemonFile::find(state) {
        return Ok(format!("{root}: in use by the daemon, process {pid}, at http://{address}"));
    }
    StateLock::take(state, "perennial check")?;
    Ok(format!("{root}: may be written"))
}

fn disk(session: &Session) -> anyhow::Result<String> {
    let free = fs4::available_space(session.state().root()).context("free space cannot be told")?;
    let free_gib = free as f64 / f64::from(1 << 30);
    if free < DISK_BYTES_WARN {
        bail!("only {free_gib:.1} GiB are free: make room");
    }
    Ok(format!("{free_gib:.1} GiB are free"))
}

fn model(session: &Session) -> anyhow::Result<String> {
    let config = &session.config().model;
    let model = Model::load(&models::locate(config)?)?;
    let fingerprint = model.fingerprint.short(12);
    Ok(format!(
        "{}: {}, {} layers, fingerprint {fingerprint}",
        config.base, model.config.architecture, model.config.layers
    ))
}

fn suites(session: &Session) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for suite in &session.config().gate.suite {
        let options = SuiteOptions { metric: suite.metric, items_max: usize::MAX, ..SuiteOptions::new(&suite.name) };
        let items = load_golden(&suite.file, options)?.items.len();
        found.push(format!("{} ({items} items)", suite.name));
    }
    if found.is_empty() {
        return Ok("no golden suites: only held-out samples guard the champion".to_owned());
    }
    Ok(found.join(", "))
}

fn plan(session: &Session) -> String {
    let config = session.config();
    let cycle = &config.cycle;
    format!(
        "\n`perennial run` would watch {}, answer at http://{}, and start a cycle at {} new samples, or at {} that have \
         waited {} s.",
        session.state().inbox().display(),
        config.http.listen,
        cycle.samples_min,
        cycle.age_samples_min,
        cycle.age_max_seconds,
    )
}

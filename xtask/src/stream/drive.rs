//! One step through the running daemon: its rows come in, it carries out a cycle, and what is in service afterwards is measured.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use perennial_tests::{Daemon, Http, Program, wait_until};
use serde_json::Value;

use super::{
    journal::{Entry, Scored, Scores},
    norm,
};
use crate::{output, progress::Progress, running};

/// Far more than a cycle of any stream takes.
const CYCLE_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a daemon may take to come to a safe point and end.
const STOP_LIMIT: Duration = Duration::from_secs(180);
/// How often a daemon is asked how far it is.
const POLL: Duration = Duration::from_millis(250);

/// How the names of suites begin that the stream measures; the daemon's own are others.
pub(super) const OURS: [&str; 3] = ["stream.", "general.", "likeness."];

/// What a step does.
pub(super) struct Work<'a> {
    /// The program with the step's configuration and state directory.
    pub(super) program: &'a Program,
    /// For the reader.
    pub(super) label: String,
    /// The rows that come in.
    pub(super) rows: &'a [&'a Path],
    /// The number that its cycle has, or will have.
    pub(super) cycle: u64,
    /// Whether a candidate that the gate refuses is put in service.
    pub(super) force: bool,
    /// What was in service before, on every suite; none where that was the base model.
    pub(super) before: Option<&'a Scores>,
}

/// Does what is not done yet of a step. What was begun by a run that was killed goes on.
pub(super) fn carry_out(work: &Work<'_>, number: usize, tasks: Vec<String>) -> Result<Entry> {
    let state = work.program.state();
    stop_forgotten(state)?;
    let began = Instant::now();
    let mut daemon = Daemon::start(work.program)?;
    let was_begun = cycle(&daemon.http, work.cycle)?.is_some();
    if !was_begun {
        for file in work.rows {
            work.program.run(&["ingest".as_ref(), "--strict".as_ref(), file.as_os_str()])?.success()?;
        }
        let answer = daemon.http.post("/v1/cycles", "application/json", b"null")?.json()?;
        let number = format!("{:06}", work.cycle);
        let begun = &answer["cycle"];
        ensure!(
            begun == &Value::from(work.cycle) || begun == &Value::from(number),
            "cycle {begun}, not {}",
            work.cycle
        );
    }
    let started_after = began.elapsed().as_secs_f64();
    let ended = await_end(&mut daemon, work)?;
    let outcome = ended["outcome"]["outcome"].as_str().context("a cycle without an outcome")?.to_owned();
    let candidate = ended["candidate"].as_str();
    let champion =
        |daemon: &Daemon| -> Result<Option<String>> { Ok(daemon.status()?["champion"].as_str().map(str::to_owned)) };
    let mut forced = false;
    if let Some(candidate) = candidate.filter(|_| work.force && outcome == "rejected") {
        if champion(&daemon)?.as_deref() != Some(candidate) {
            work.program.run(&["promote", candidate, "--force", "--reason", "the stream promotes all"])?.success()?;
        }
        forced = true;
    }
    let adapter = champion(&daemon)?;
    let folder = state.join("cycles").join(format!("{:06}", work.cycle));
    let scores = read_scores(&folder)?;
    let (base, scores) = match scores {
        Some((of_champion, of_candidate)) => {
            let base = (work.cycle == 1).then(|| of_champion.clone());
            (base, if outcome == "promoted" || forced { of_candidate } else { of_champion })
        }
        None => (None, work.before.cloned().with_context(|| told(&ended))?),
    };
    let norm = adapter.as_ref().map(|id| norm::of_adapter(&state.join("adapters").join(id))).transpose()?.flatten();
    let mut seconds = if was_begun { BTreeMap::new() } else { phase_seconds(&ended) };
    if !was_begun {
        seconds.insert("intake".to_owned(), started_after);
    }
    daemon.stop(STOP_LIMIT)?;
    Ok(Entry {
        step: number,
        tasks,
        reasons: reasons(&folder, &ended),
        outcome,
        forced,
        optimiser_steps: detail(&ended, "trained")["steps"].as_u64(),
        adapter,
        norm,
        seconds,
        scores,
        base,
    })
}

/// A daemon of a run that was killed goes on alone, and holds the state directory.
fn stop_forgotten(state: &Path) -> Result<()> {
    let Some(process) = running::daemon(state) else { return Ok(()) };
    output::note(format!("Stopping the daemon that an earlier run left behind, process {process}"));
    let status = std::process::Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status()?;
    ensure!(status.success(), "process {process} was not told to stop");
    wait_until("the end of the daemon that was left behind", STOP_LIMIT, || {
        thread::sleep(POLL);
        Ok((!is_running(process)).then_some(()))
    })
}

/// Whether a process runs that is no child of this one; one that has ended may lie about until somebody asks how.
fn is_running(process: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before the state stands in parentheses, and may hold any itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What is known of a cycle; none where there is none of this number yet.
fn cycle(http: &Http, number: u64) -> Result<Option<Value>> {
    let answer = http.get(&format!("/v1/cycles/{number}"))?;
    if answer.status == 404 {
        return Ok(None);
    }
    Ok(Some(answer.json()?["cycle"].take()))
}

fn await_end(daemon: &mut Daemon, work: &Work<'_>) -> Result<Value> {
    let http = daemon.http;
    let mut progress = Progress::of(&work.label);
    let ended = daemon.wait_for("the end of the cycle", CYCLE_LIMIT, || {
        let known = cycle(&http, work.cycle)?.filter(|cycle| !cycle["finished_ms"].is_null());
        if known.is_none() {
            progress.show(&perennial_tests::Metrics::parse(&http.get("/metrics")?.body)?);
            thread::sleep(POLL);
        }
        Ok(known)
    })?;
    output::progress("");
    Ok(ended)
}

/// The champion's and the candidate's scores, as the cycle keeps them; none where it did not come to them.
fn read_scores(folder: &Path) -> Result<Option<(Scores, Scores)>> {
    let path = folder.join("scores.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let kept: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(Some((side(&kept["champion"])?, side(&kept["candidate"])?)))
}

/// The suites that the stream measures, by their names.
fn side(suites: &Value) -> Result<Scores> {
    let mut scores = Scores::new();
    for suite in suites.as_array().context("scores without a side")? {
        let name = suite["suite"].as_str().context("scores without a suite")?;
        if !OURS.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let items = suite["items"].as_array().context("scores without items")?;
        let items = items.iter().map(|item| Scored(item["score"].as_f64(), item["tokens"].as_u64()));
        scores.insert(name.to_owned(), items.collect());
    }
    Ok(scores)
}

/// Why it ended as it did: the gate's reasons by kind and suite, or what a failure says.
fn reasons(folder: &Path, ended: &Value) -> Vec<String> {
    let report = fs::read(folder.join("report.json")).ok();
    let report: Option<Value> = report.and_then(|json| serde_json::from_slice(&json).ok());
    let Some(report) = report else { return vec![told(ended)] };
    let reasons = report["decision"]["reasons"].as_array();
    let text = |reason: &Value| {
        let words = [&reason["kind"], &reason["suite"]].into_iter().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(" ").replace('_', " ")
    };
    reasons.into_iter().flatten().map(text).collect()
}

fn told(ended: &Value) -> String {
    let outcome = &ended["outcome"];
    let word = |key: &str| outcome[key].as_str().unwrap_or_default();
    format!("the cycle {}: {}", word("outcome"), word("reason"))
}

fn detail<'a>(ended: &'a Value, phase: &str) -> &'a Value {
    let phases = ended["phases"].as_array();
    let found = phases.into_iter().flatten().find(|record| record["phase"] == phase);
    found.map_or(&Value::Null, |record| &record["detail"])
}

/// The time from the end of the phase before, for each.
fn phase_seconds(ended: &Value) -> BTreeMap<String, f64> {
    let mut before = ended["started_ms"].as_i64();
    let mut seconds = BTreeMap::new();
    for record in ended["phases"].as_array().into_iter().flatten() {
        let (Some(phase), Some(at)) = (record["phase"].as_str(), record["at_ms"].as_i64()) else { continue };
        if let Some(before) = before.replace(at) {
            seconds.insert(phase.to_owned(), (at - before) as f64 / 1000.0);
        }
    }
    seconds
}

/// Asks the base model, each prompt once, and returns what it answered.
pub(super) fn base_answers(program: &Program, prompts: &[&str], tokens: usize) -> Result<Vec<String>> {
    let tokens = tokens.to_string();
    let mut answers = Vec::with_capacity(prompts.len());
    for (seed, prompt) in prompts.iter().enumerate() {
        output::progress(&format!("  {} of {} prompts", seed + 1, prompts.len()));
        let seed = seed.to_string();
        let drawn = ["generate", "--temperature", "1", "--seed", &seed, "--max-tokens", &tokens, "--prompt", prompt];
        answers.push(program.run(&drawn)?.success()?.trim().to_owned());
    }
    output::progress("");
    if answers.iter().all(String::is_empty) {
        bail!("the base model answers nothing");
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cycle_tells_how_long_each_phase_took_and_why_it_failed() {
        let ended = json!({
            "started_ms": 1000,
            "phases": [
                { "phase": "collected", "at_ms": 1500, "detail": { "new": 3 } },
                { "phase": "trained", "at_ms": 4500, "detail": { "steps": 12 } },
            ],
            "outcome": { "outcome": "failed", "reason": "no new samples waited" },
        });
        let expected = BTreeMap::from([("collected".to_owned(), 0.5), ("trained".to_owned(), 3.0)]);
        assert_eq!(phase_seconds(&ended), expected);
        assert_eq!(detail(&ended, "trained")["steps"], 12);
        assert_eq!(detail(&ended, "decided"), &Value::Null);
        assert_eq!(reasons(Path::new("/nowhere"), &ended), ["the cycle failed: no new samples waited"]);
    }

    #[test]
    fn only_what_runs_is_waited_for() {
        assert!(is_running(u64::from(std::process::id())));
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let process = u64::from(ended.id());
        wait_until("the end", STOP_LIMIT, || Ok((!is_running(process)).then_some(()))).unwrap();
        ended.wait().unwrap();
        assert!(!is_running(process));
    }

    #[test]
    fn only_the_suites_of_the_stream_are_read() {
        let kept = json!([
            { "suite": "auto:a", "items": [{ "score": 1.0 }] },
            { "suite": "stream.a", "items": [{ "score": 0.5 }, { "score": null }] },
            { "suite": "likeness.base", "items": [{ "score": -1.5, "tokens": 20 }] },
        ]);
        let scores = side(&kept).unwrap();
        assert_eq!(scores.keys().collect::<Vec<_>>(), ["likeness.base", "stream.a"]);
        assert_eq!(scores["stream.a"], [Scored(Some(0.5), None), Scored(None, None)]);
        assert_eq!(scores["likeness.base"], [Scored(Some(-1.5), Some(20))]);
    }
}

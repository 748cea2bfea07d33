//! What is disturbed: a daemon that carries out a small cycle while rows come in by HTTP and by the inbox, and what must hold
//! at its end, however often it was cut off.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use perennial_registry::{Cycle, Registry, invariants};
use perennial_tests::{
    Daemon, Exit, Fixture, Http, Program, SetOnDrop, production_reads_the_champion, repository,
    segments_hold_the_catalogue, task,
};
use serde_json::{Value, json};

use crate::side_rows::{Rows, post, row, side_rows};

/// Longer than a daemon needs to come up and end the cycle on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A cycle as short as one can be that still goes through every phase and leaves checkpoints on its way.
const SETTINGS: [&str; 14] = [
    "cycle.samples_min=16",
    // A daemon that is killed before it came further has tried.
    "cycle.attempts_max=100",
    "cycle.age_samples_min=16",
    "train.steps_max=3",
    "train.checkpoint_steps=1",
    "train.batch_size=8",
    "gate.require=\"not_worse\"",
    "gate.uncertain=\"allow\"",
    "gate.resamples=100",
    "gate.auto.protected=false",
    "gate.auto.target=false",
    "gate.auto.items_max=1",
    "gate.auto.max_new_tokens=2",
    "gate.auto.domain.general={ max_new_tokens = 2 }",
];

/// What such a cycle learns with beside its rows: answers of its own, scored by a plugin.
const REWARDS: [&str; 4] = [
    r#"train.objectives=["sft", "grpo"]"#,
    "grpo.steps_max=2",
    "grpo.num_generations=2",
    "grpo.max_completion_length=8",
];

/// Rows of the mix. Enough for the cycle to begin whatever share of them is held out.
const ROWS: usize = 32;

const SUITE_ITEMS: usize = 2;
const PROMPTS: usize = 8;

/// A state directory with rows that wait for a cycle, and how that cycle ends where nothing disturbs it.
pub(crate) struct Scenario {
    prepared: Fixture,
    expected: Cycle,
    /// The failpoints that a daemon hits from its start to the end of the cycle, in order.
    pub(crate) hits: Vec<String>,
    /// How long that takes.
    pub(crate) whole: Duration,
}

/// What the cycle learns from.
#[derive(Clone, Copy)]
pub(crate) enum Learning {
    Rows,
    RowsAndRewards,
}

/// One state directory that is being disturbed.
pub(crate) struct Trial<'a> {
    scenario: &'a Scenario,
    pub(crate) fixture: Fixture,
    rows: Rows,
}

/// How a daemon's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was cut off, or ended by itself.
    Died(Exit),
    /// The cycle ended first; the daemon was killed then.
    CycleEnded,
    /// Neither, in the time that there was; the daemon was killed then.
    TimeOver,
}

impl Scenario {
    pub(crate) fn new(learning: Learning) -> Result<Self> {
        let prepared = Fixture::new()?.with(&SETTINGS);
        let prepared = match learning {
            Learning::Rows => prepared,
            Learning::RowsAndRewards => {
                let plugin = repository().join("plugins/json-schema/json-schema.wasm");
                prepared.with(&REWARDS).with(&[&format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]")])
            }
        };
        let suite: String = task("general_suite")?.iter().take(SUITE_ITEMS).map(|row| format!("{row}\n")).collect();
        let suite = prepared.file("suite.jsonl", suite)?;
        let suite = format!(
            "gate.suite=[{{ name = \"few\", file = {suite:?}, metric = \"exact_match\", protected = true, margin = 1.0, max_new_tokens = 2 }}]"
        );
        // So that the base model is asked, too.
        let prompts: String =
            task("general_train")?.iter().take(PROMPTS).map(|row| prompt(row)).collect::<Result<_>>()?;
        let prompts = prepared.file("prompts.jsonl", prompts)?;
        let prompts = format!("replay.base_answers={{ ratio = 0.1, answer_tokens_max = 32, file = {prompts:?} }}");
        let prepared = prepared.with(&[&suite, &prompts]);
        let rows: String = task("tickets_train")?.iter().take(ROWS).map(|row| format!("{row}\n")).collect();
        let file = prepared.file("tickets.jsonl", rows)?;
        prepared.program.run(&["ingest".as_ref(), file.as_os_str()])?.success()?;

        let undisturbed = prepared.copy()?;
        let trace = undisturbed.file("trace", "")?;
        let start = Instant::now();
        let traced =
            undisturbed.program.clone().with_variable("PERENNIAL_FAILPOINTS", &format!("*=trace:{}", trace.display()));
        let mut daemon = Daemon::start(&traced)?;
        await_cycle(&mut daemon)?;
        let whole = start.elapsed();
        daemon.stop(LIMIT)?;
        let expected = ended(&undisturbed)?.context("the undisturbed cycle has not ended")?;
        let hits: Vec<String> = fs::read_to_string(trace)?.lines().map(str::to_owned).collect();
        ensure!(!hits.is_empty(), "the undisturbed daemon hit no failpoint");
        Ok(Self { prepared, expected, hits, whole })
    }

    pub(crate) fn trial(&self) -> Result<Trial<'_>> {
        Ok(Trial { scenario: self, fixture: self.prepared.copy()?, rows: Rows::default() })
    }
}

impl Trial<'_> {
    /// Lets a daemon live until it is cut off, its cycle has ended, or `time` is over.
    pub(crate) fn live(&self, program: &Program, time: Duration) -> Result<End> {
        let mut daemon = Daemon::spawn(program)?;
        let (over, http) = (AtomicBool::new(false), daemon.http);
        let deadline = Instant::now() + time;
        let end = thread::scope(|scope| {
            let _over = SetOnDrop(&over);
            scope.spawn(|| self.rows.post(http, &over));
            let end = loop {
                if let Some(exit) = daemon.ended()? {
                    break End::Died(exit);
                }
                if cycle_has_ended(http) {
                    break End::CycleEnded;
                }
                if Instant::now() > deadline {
                    break End::TimeOver;
                }
                thread::sleep(Duration::from_millis(10));
            };
            anyhow::Ok(end)
        });
        daemon.kill();
        end
    }

    /// Puts a file with a row into the inbox; no daemon may be running.
    pub(crate) fn drop_file(&self) -> Result<()> {
        let number = self.rows.next();
        self.fixture.drop_into_inbox(&format!("part-{number}.jsonl"), row(number) + "\n")?;
        self.rows.acknowledged.lock().unwrap().push(number);
        Ok(())
    }

    /// What must hold at any moment, right after a cut too. No daemon may be running.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(line) = self.fixture.log().lines().find(|line| line.contains("panicked")) {
            bail!("the daemon panicked: {line}");
        }
        let (registry, state) = (self.fixture.registry()?, self.fixture.state());
        registry.read(|connection| invariants::segments_are_whole(connection, state))?;
        registry.read(|connection| invariants::adapters_match_lineage(connection, &state.join("adapters")))?;
        let inbox = self.fixture.waiting()? as u64;
        let known = side_rows(&registry)?;
        let acknowledged = self.rows.acknowledged.lock().unwrap().len() as u64;
        // Which ones they are is asked at the end.
        ensure!(
            known + inbox >= acknowledged,
            "{acknowledged} rows were acknowledged, {known} are stored and {inbox} wait"
        );
        Ok(())
    }

    /// Lets the daemon end what it has begun, without a disturbance or a hand, and compares that with the undisturbed end.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut daemon = self.fixture.start()?;
        await_cycle(&mut daemon)?;
        daemon.wait_for("an empty inbox", LIMIT, || Ok((self.fixture.waiting()? == 0).then_some(())))?;
        let (sent, acknowledged) =
            (self.rows.sent.load(Ordering::Relaxed), self.rows.acknowledged.lock().unwrap().clone());
        let again = post(daemon.http, &acknowledged)?.context("the daemon takes no rows")?;
        ensure!(again == 0, "{again} of {} acknowledged rows were lost", acknowledged.len());
        post(daemon.http, &(0..sent).collect::<Vec<_>>())?.context("the daemon takes no rows")?;
        daemon.wait_for("an index of all samples", LIMIT, || {
            Ok((daemon_status(self.fixture.program.clone())?["unindexed"] == 0).then_some(()))
        })?;
        daemon.stop(LIMIT)?;
        let registry = self.fixture.registry()?;
        ensure!(
            side_rows(&registry)? == sent,
            "{} rows are stored of the {sent} that were sent",
            side_rows(&registry)?
        );
        self.check()?;
        segments_hold_the_catalogue(&registry, self.fixture.state())?;
        production_reads_the_champion(&registry, self.fixture.state())?;
        self.compare(&registry)?;
        no_leftovers(self.fixture.state())
    }

    /// The same mix, the same adapter, the same decision, published.
    fn compare(&self, registry: &Registry) -> Result<()> {
        let (found, expected) = (ended(&self.fixture)?.context("the cycle has not ended")?, &self.scenario.expected);
        ensure!(found.mix == expected.mix, "mix {:?}, not {:?}", found.mix, expected.mix);
        ensure!(found.candidate == expected.candidate, "adapter {:?}, not {:?}", found.candidate, expected.candidate);
        ensure!(found.suites == expected.suites, "suites {:?}, not {:?}", found.suites, expected.suites);
        ensure!(found.outcome == expected.outcome, "{:?}, not {:?}", found.outcome, expected.outcome);
        let astray = perennial_publish::astray(&self.fixture.state().join("export"), registry.champion()?.as_ref());
        ensure!(astray.is_none(), "{astray:?}");
        let served = registry.publication("folder")?.context("nothing is known of what the folder serves")?;
        ensure!(!served.is_behind() && served.served_adapter == registry.champion()?, "{served:?}");
        let report = self.fixture.state().join("cycles").join(found.id.to_string()).join("report.json");
        ensure!(report.is_file(), "{} is gone", report.display());
        Ok(())
    }
}

/// What a row asks, alone.
fn prompt(row: &str) -> Result<String> {
    let row: Value = serde_json::from_str(row)?;
    Ok(format!("{}\n", json!({ "prompt": row["messages"][0]["content"] })))
}

fn daemon_status(program: Program) -> Result<Value> {
    Ok(serde_json::from_str(&program.run(&["status", "--json"])?.success()?)?)
}

fn cycle_has_ended(http: Http) -> bool {
    let rows = http.get("/v1/cycles").ok().and_then(|response| response.json().ok());
    rows.is_some_and(|rows| rows[0]["finished_ms"].is_number())
}

/// By the daemon's word: opening the registry here would change files beside the recorder.
fn await_cycle(daemon: &mut Daemon) -> Result<()> {
    let http = daemon.http;
    daemon.wait_for("the end of the cycle", LIMIT, || Ok(cycle_has_ended(http).then_some(())))
}

fn ended(fixture: &Fixture) -> Result<Option<Cycle>> {
    let cycles = fixture.registry()?.cycles(2)?;
    ensure!(cycles.len() <= 1, "a second cycle was begun: {cycles:?}");
    Ok(cycles.into_iter().next().filter(|cycle| cycle.finished_ms.is_some()))
}

/// Unfinished files are swept at start; one that a daemon leaves after a clean stop is there for good.
fn no_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished =
            name.starts_with(".tmp") || name.ends_with(".tmp") || name.ends_with(".part") || name.contains('#');
        if unfinished {
            bail!("{} was left", path.display());
        }
        if path.is_dir() && !path.is_symlink() {
            no_leftovers(&path)?;
        }
    }
    Ok(())
}

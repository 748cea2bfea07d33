//! Kills, power cuts and failing disks at moments all over a cycle: nothing acknowledged is lost, nothing is there twice, and a
//! cycle ends as if it had never been disturbed, without a hand.
//!
//! A few of each run with the other tests; `cargo xtask crash` runs as many as one likes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test helper that fails is a test that fails")]

mod disk;
mod fault;
mod kill;
mod power;
mod random;
mod recorder;
mod scenario;
mod side_rows;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use perennial_registry::Cycle;
use perennial_tests::{Daemon, Fixture, repository, task};

use crate::scenario::{Learning, Scenario};

/// Longer than a cycle takes that is killed again and again.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_few_kills_lose_nothing() {
    let scenario = Scenario::new(Learning::Rows).unwrap();
    assert!(disturbed(2, |seed| kill::run(&scenario, seed)) > 0, "nothing was killed");
}

#[test]
fn a_few_power_cuts_lose_nothing() {
    power_cuts_lose_nothing(Learning::Rows, 2);
}

#[test]
fn a_few_power_cuts_while_it_learns_from_rewards_lose_nothing() {
    // Each of these cycles takes twice as long.
    power_cuts_lose_nothing(Learning::RowsAndRewards, 1);
}

fn power_cuts_lose_nothing(learning: Learning, cycles: u64) {
    if !recorder::is_available() {
        return;
    }
    let scenario = Scenario::new(learning).unwrap();
    let changes = power::count_changes(&scenario).unwrap();
    assert!(disturbed(cycles, |seed| power::run(&scenario, changes, seed)) > 0, "no power was cut");
}

#[test]
fn a_disk_that_fails_for_a_moment_loses_nothing() {
    a_failing_disk_loses_nothing(0);
}

#[test]
fn a_disk_that_fails_at_other_moments_loses_nothing() {
    a_failing_disk_loses_nothing(1);
}

fn a_failing_disk_loses_nothing(seed: u64) {
    let scenario = Scenario::new(Learning::Rows).unwrap();
    let changes = power::count_changes(&scenario).unwrap();
    fault::run(&scenario, changes, seed).unwrap();
}

/// Disturbs so many cycles, and further ones as long as each was through before its moment came: on a machine that is busy elsewhere
/// a cycle may take less than was measured. Returns how often one was disturbed.
fn disturbed(cycles: u64, mut run: impl FnMut(u64) -> Result<u64>) -> u64 {
    const SEEDS_MAX: u64 = 10;
    let mut disturbances = 0;
    for seed in 0..SEEDS_MAX {
        if seed >= cycles && disturbances > 0 {
            break;
        }
        disturbances += run(seed).unwrap();
    }
    disturbances
}

/// `cargo xtask crash`: as many trials as `CRASH_RUNS` says, of the sort `CRASH_SORT`, from the seed `CRASH_SEED` on, with rewards where
/// `CRASH_REWARDS` is set. Goes on after a failure, and tells all of them at the end.
#[test]
#[ignore = "takes as long as one likes: cargo xtask crash"]
fn many() {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, first) = (number("CRASH_RUNS", 10), number("CRASH_SEED", 0));
    let sort = env::var("CRASH_SORT").unwrap_or_else(|_| "kill".to_owned());
    let learning = if env::var_os("CRASH_REWARDS").is_some() { Learning::RowsAndRewards } else { Learning::Rows };
    let scenario = Scenario::new(learning).unwrap();
    let changes = if sort == "kill" { 0 } else { power::count_changes(&scenario).unwrap() };
    let (mut disturbances, mut failures) = (0, Vec::new());
    for seed in first..first + runs {
        let outcome = match sort.as_str() {
            "power" => power::run(&scenario, changes, seed),
            "fault" => fault::run(&scenario, changes, seed),
            "kill" => kill::run(&scenario, seed),
            other => panic!("CRASH_SORT is kill, power or fault, not {other}"),
        };
        match outcome {
            Ok(count) => disturbances += count,
            Err(error) => {
                eprintln!("FAILED {sort} {seed}: {error:?}");
                failures.push(seed);
            }
        }
        eprintln!("{sort}: {} of {runs} runs, {disturbances} disturbances, failed: {failures:?}", seed + 1 - first);
    }
    assert!(failures.is_empty(), "{sort}: {} of {runs} runs failed, of the seeds {failures:?}", failures.len());
}

#[test]
fn cycle_killed_at_ten_moments_ends_in_the_same_adapter() {
    let prepared = Fixture::new().unwrap().with(&["train.checkpoint_steps=3", "train.epochs=1"]);
    ends_the_same_after(10, 300, &prepared);
}

#[test]
fn cycle_killed_while_it_learns_from_rewards_ends_in_the_same_adapter() {
    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let prepared = Fixture::new().unwrap().with(&[
        r#"train.objectives=["sft", "grpo"]"#,
        "train.steps_max=4",
        "train.checkpoint_steps=2",
        "grpo.steps_max=6",
        "grpo.num_generations=4",
        "grpo.max_completion_length=24",
        &format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]"),
    ]);
    // What no step comes to stays new: too little for another cycle.
    ends_the_same_after(3, 130, &prepared);
}

/// Kills a cycle over so many samples so often, at moments all over it, and compares its end with that of one that was let run.
fn ends_the_same_after(kills_wanted: u32, samples: usize, prepared: &Fixture) {
    let file = prepared.file("tickets.jsonl", rows(0..samples)).unwrap();
    prepared.program.run(&["ingest".as_ref(), file.as_os_str()]).unwrap().success().unwrap();

    let undisturbed = eager(prepared.copy().unwrap());
    let start = Instant::now();
    let expected = finish(&undisturbed).unwrap();
    let whole = start.elapsed();

    let mut moments = Moments(0.0);
    let mut disturbed = eager(prepared.copy().unwrap());
    let mut kills = 0;
    while kills < kills_wanted {
        let daemon = Daemon::spawn(&disturbed.program).unwrap();
        thread::sleep(whole.mul_f64(moments.next()));
        daemon.kill();
        kills += 1;
        if ended(&disturbed).unwrap().is_some() {
            assert_same(&expected, &disturbed).unwrap();
            disturbed = eager(prepared.copy().unwrap());
        }
    }
    finish(&disturbed).unwrap();
    assert_same(&expected, &disturbed).unwrap();
}

#[test]
fn rows_are_stored_once_however_often_intake_is_killed() {
    const FILES: usize = 6;
    let fixture = Fixture::new().unwrap();
    let mut moments = Moments(0.5);
    for file in 0..FILES {
        fixture.drop_into_inbox(&format!("part-{file}.jsonl"), rows(file * 50..(file + 1) * 50)).unwrap();
        let daemon = Daemon::spawn(&fixture.program).unwrap();
        thread::sleep(Duration::from_secs_f64(1.5 * moments.next()));
        daemon.kill();
        fixture.registry().unwrap();
    }
    let mut daemon = fixture.start().unwrap();
    daemon.wait_for("an empty inbox", LIMIT, || Ok((fixture.waiting()? == 0).then_some(()))).unwrap();
    let registry = fixture.registry().unwrap();
    let stored: u64 = registry.sample_counts().unwrap().iter().map(|count| count.count).sum();
    assert_eq!(stored, 50 * FILES as u64);
}

fn rows(range: std::ops::Range<usize>) -> String {
    task("tickets_train").unwrap()[range].iter().map(|row| format!("{row}\n")).collect()
}

/// The same state directory with a policy that starts a cycle at once.
fn eager(fixture: Fixture) -> Fixture {
    fixture.with(&["cycle.samples_min=100"])
}

/// Lets the daemon run until the first cycle has ended.
fn finish(fixture: &Fixture) -> Result<Cycle> {
    let mut daemon = fixture.start()?;
    daemon.wait_for("the end of the cycle", LIMIT, || ended(fixture))
}

fn ended(fixture: &Fixture) -> Result<Option<Cycle>> {
    let cycles = fixture.registry()?.cycles(2)?;
    ensure!(cycles.len() <= 1, "a second cycle was begun: {cycles:?}");
    Ok(cycles.into_iter().next().filter(|cycle| cycle.finished_ms.is_some()))
}

/// The same mix, the same adapter, the same decision and the same published bytes.
fn assert_same(expected: &Cycle, disturbed: &Fixture) -> Result<()> {
    let found = ended(disturbed)?.context("the cycle has not ended")?;
    ensure!(found.mix == expected.mix, "mix {:?}, not {:?}", found.mix, expected.mix);
    ensure!(found.candidate == expected.candidate, "adapter {:?}, not {:?}", found.candidate, expected.candidate);
    ensure!(found.outcome == expected.outcome, "{:?}, not {:?}", found.outcome, expected.outcome);
    let adapter = found.candidate.context("the cycle has no candidate")?;
    let registry = disturbed.registry()?;
    let files = registry.adapter(&adapter)?.context("the candidate is not in the registry")?.files;
    perennial_registry::store::verify_adapter(&disturbed.state().join("adapters"), &files)?;
    let champion = registry.champion()?.map(|champion| champion.to_string());
    ensure!(disturbed.published() == champion, "{:?} is published, not {champion:?}", disturbed.published());
    Ok(())
}

/// Moments as shares of a whole, spread evenly over it in a scattered order: multiples of the golden ratio, less what is
/// whole of them.
struct Moments(f64);

impl Moments {
    fn next(&mut self) -> f64 {
        const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
        self.0 = (self.0 + GOLDEN_RATIO).fract();
        self.0
    }
}

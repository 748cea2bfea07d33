//! A cycle always ends: promoted, rejected, failed with its remedy, or aborted; and what comes after it is trained on.

use std::fs;

use perennial_registry::{Cycle, CycleOutcome};
use perennial_tests::{Daemon, Fixture, Program, repository, task, wait_until};
use serde_json::Value;

use crate::{
    aborted::in_training,
    support::{CYCLE_LIMIT, INTAKE_LIMIT, cycle, files, ingest, lines, promoted, quarantine},
};

/// One short epoch, and nothing held out, so that every row counts.
const SHORT: [&str; 3] = ["ingest.held_out_fraction=0", "train.epochs=1", "gate.require=\"not_worse\""];

pub(crate) fn fixture() -> Fixture {
    Fixture::new().unwrap().with(&SHORT)
}

/// The same state directory under other settings.
fn under(fixture: &Fixture, settings: &[&str]) -> Program {
    settings.iter().fold(fixture.program.clone(), |program, setting| program.with(setting))
}

/// What a command that must fail says.
pub(crate) fn refused(program: &Program, arguments: &[&str]) -> String {
    program.run(arguments).unwrap().failure().unwrap()
}

pub(crate) fn last(fixture: &Fixture) -> Cycle {
    fixture.registry().unwrap().cycles(1).unwrap().remove(0)
}

/// The reason and the remedy of the last cycle, which failed.
fn failure(fixture: &Fixture) -> (String, String) {
    let failed = match last(fixture).outcome {
        Some(CycleOutcome::Failed { reason, remedy }) => Some((reason, remedy)),
        _ => None,
    };
    failed.expect("the cycle failed")
}

pub(crate) fn waiting(fixture: &Fixture) -> u64 {
    let status = fixture.program.run(&["status", "--json"]).unwrap().success().unwrap();
    serde_json::from_str::<Value>(&status).unwrap()["waiting"]["samples"].as_u64().unwrap()
}

/// A cycle over these rows, whose candidate is in service, whatever the gate said of it. Returns the cycle.
fn champion(fixture: &Fixture, rows: &[String]) -> Cycle {
    ingest(fixture, "one.jsonl", rows).unwrap();
    let cycle = cycle(fixture).unwrap();
    if !promoted(&cycle) {
        let candidate = cycle.candidate.as_ref().unwrap().to_string();
        fixture.program.run(&["promote", "--force", &candidate]).unwrap().success().unwrap();
    }
    cycle
}

/// Rows whose prompt alone is longer than any limit here.
fn long_rows(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{{\"prompt\": \"{} {n}\", \"completion\": \"yes\"}}", "word ".repeat(500))).collect()
}

fn overlap(domains: &str) -> String {
    let plugin = repository().join("plugins/text-overlap/text-overlap.wasm");
    format!("reward.plugin=[{{ name = \"overlap\", file = {plugin:?}, domains = {domains} }}]")
}

#[test]
fn rows_that_nothing_can_be_learned_from_are_set_aside_and_later_rows_are_trained_on() {
    let fixture = fixture();
    ingest(&fixture, "long.jsonl", &long_rows(12)).unwrap();
    let said = refused(&fixture.program, &["cycle"]);
    assert!(said.contains("nothing was learned") && said.contains("train.max_length"), "{said}");
    let (reason, remedy) = failure(&fixture);
    assert!(reason.contains("nothing to learn is left within 128 tokens") && remedy.contains("requeue"), "{reason}");
    let lines = quarantine(&fixture).unwrap();
    assert_eq!(lines.len(), 12, "each row is named with its reason");
    assert!(lines[0]["row"].as_str().unwrap().contains("word word"), "{}", lines[0]);
    let status = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(status.contains("000001, failed") && status.contains("set aside   12 samples"), "{status}");
    assert!(!status.contains("stuck"), "nothing waits: what is wrong is set aside: {status}");
    let shown = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(shown.starts_with("# Cycle 000001: failed"), "{shown}");

    let good = task("tickets_train").unwrap();
    ingest(&fixture, "good.jsonl", &good[..60]).unwrap();
    ingest(&fixture, "two.jsonl", &long_rows(14)[12..]).unwrap();
    let ended = cycle(&fixture).unwrap();
    assert!(matches!(ended.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{ended:?}");
    assert_eq!(waiting(&fixture), 0);
    assert_eq!(fixture.registry().unwrap().set_aside_count().unwrap(), 14, "two more beside rows that were learned");
    let status = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(!status.contains("stuck"), "{status}");

    let said = fixture.program.run(&["requeue", "1"]).unwrap().success().unwrap();
    assert!(said.contains("12 samples"), "{said}");
    assert_eq!(waiting(&fixture), 12);
    let file = files(&fixture.state().join("quarantine")).unwrap().pop().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    fixture.program.run(&["quarantine", "requeue", name]).unwrap().success().unwrap();
    assert_eq!(waiting(&fixture), 14, "and so does quarantine, for the rows of one file");
    ingest(&fixture, "again.jsonl", &long_rows(14)[12..]).unwrap();
    assert_eq!(waiting(&fixture), 14);
}

#[test]
fn a_shape_that_the_champion_does_not_have_is_refused_before_a_cycle_begins() {
    let fixture = fixture();
    let rows = task("tickets_train").unwrap();
    let first = champion(&fixture, &rows[..24]);
    ingest(&fixture, "two.jsonl", &rows[24..48]).unwrap();
    for setting in ["train.r=8", "train.alpha=64", "train.use_rslora=true"] {
        let other = under(&fixture, &[setting]);
        let key = setting.split('=').next().unwrap();
        let checked = other.run(&["check"]).unwrap();
        assert_ne!(checked.code, Some(0));
        let line = checked.stdout.lines().find(|line| line.starts_with("wrong  champion")).unwrap().to_owned();
        assert!(line.contains(key) && line.contains("train.start = \"fresh\""), "{line}");
        assert!(refused(&other, &["cycle"]).contains(key));
        assert_eq!(last(&fixture).id, first.id, "no cycle was begun");
    }
    let rebase = under(&fixture, &["train.r=8", "train.start=rebase"]);
    let checked = rebase.run(&["check"]).unwrap().success().unwrap();
    assert!(checked.contains("re-based from rank 16 to 8"), "{checked}");
    rebase.run(&["cycle"]).unwrap().decided().unwrap();
    let shown = rebase.run(&["show", &last(&fixture).id.to_string()]).unwrap().success().unwrap();
    assert!(shown.contains("r is 16 in the adapter and 8 in the configuration"), "{shown}");
    assert!(matches!(last(&fixture).outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)));

    ingest(&fixture, "three.jsonl", &rows[48..72]).unwrap();
    let fresh = under(&fixture, &["train.r=8", "train.start=fresh"]);
    fresh.run(&["check"]).unwrap().success().unwrap();
    fresh.run(&["cycle"]).unwrap().decided().unwrap();
    assert!(matches!(last(&fixture).outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)));
}

#[test]
fn a_reload_with_another_shape_is_refused_and_training_goes_on_with_the_old_one() {
    let fixture = fixture();
    let rows = task("tickets_train").unwrap();
    champion(&fixture, &rows[..24]);
    let example = fs::read_to_string(repository().join("config/examples/demo/tiny.toml")).unwrap();
    let goldens = repository().join("tests/goldens").display().to_string();
    let text = example.replace("../../../tests/goldens", &goldens).replace("samples_min = 400", "samples_min = 5000");
    let file = fixture.file("perennial.toml", &text).unwrap();
    let program =
        SHORT.iter().fold(Program::new(&file, fixture.state()).unwrap(), |program, setting| program.with(setting));
    let mut daemon = Daemon::start(&program).unwrap();
    fs::write(&file, text.replace("[train]", "[train]\nr = 8")).unwrap();
    daemon.signal("HUP").unwrap();
    wait_until("the refusal", INTAKE_LIMIT, || Ok(daemon.log().contains("reload refused").then_some(()))).unwrap();
    assert!(daemon.log().contains("train.r = 16"), "says what to set");
    daemon.http.post("/v1/samples", "application/jsonl", lines(&rows[24..48]).as_bytes()).unwrap().json().unwrap();
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap().json().unwrap();
    let second = daemon
        .wait_for("the second cycle", CYCLE_LIMIT, || {
            Ok(Some(last(&fixture)).filter(|cycle| cycle.id.0 == 2 && cycle.finished_ms.is_some()))
        })
        .unwrap();
    assert!(matches!(second.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{second:?}");
}

#[test]
fn what_training_or_rollouts_would_refuse_the_check_refuses_too() {
    let fixture = fixture();
    for (setting, key) in [
        ("train.warmup_ratio=1.0", "train.warmup_ratio"),
        ("rollout.stop=[\"\"]", "rollout.stop"),
        ("train.learning_rate=nan", "train.learning_rate"),
        ("grpo.temperature=1e-60", "grpo.temperature"),
    ] {
        let program = under(&fixture, &[setting]);
        for command in ["check", "cycle", "run"] {
            let said = refused(&program, &[command]);
            assert!(said.contains(key), "{setting}, {command}: {said}");
        }
    }
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..8]).unwrap();
    let deep = under(&fixture, &["replay.embedding=hidden", "replay.layer=99"]);
    let checked = deep.run(&["check"]).unwrap();
    assert!(checked.stdout.contains("99 does not"), "{}", checked.stdout);
    assert!(refused(&deep, &["cycle"]).contains("99 does not"));
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty(), "no cycle was begun");
}

#[test]
fn a_run_that_diverges_or_that_can_change_nothing_fails_and_its_samples_are_trained_on_under_other_settings() {
    let fixture = fixture();
    ingest(&fixture, "eight.jsonl", &task("tickets_train").unwrap()[..8]).unwrap();
    let warm = under(&fixture, &["train.warmup_ratio=0.05"]);
    let said = refused(&warm, &["cycle"]);
    assert!(said.contains("learning rate is 0 in every step") && said.contains("train.warmup_ratio = 0"), "{said}");
    assert_eq!(waiting(&fixture), 8, "its samples stay");
    let status = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(status.contains("stuck") && status.contains("train.warmup_ratio = 0"), "{status}");

    let hot = under(&fixture, &["train.learning_rate=1e30", "train.epochs=4"]);
    let said = refused(&hot, &["cycle"]);
    assert!(said.contains("not finite") && said.contains("lower train.learning_rate"), "{said}");
    assert_eq!(waiting(&fixture), 8);

    let ended = cycle(&fixture).unwrap();
    assert!(matches!(ended.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{ended:?}");
    assert_eq!(waiting(&fixture), 0);
}

#[test]
fn errors_that_may_pass_are_tried_again_and_no_more_often_than_configured() {
    let fixture = fixture().with(&["cycle.attempts_max=2"]);
    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let cut_off = under(
        &fixture,
        &[
            "train.objectives=[\"grpo\"]",
            "grpo.max_completion_length=16",
            "rollout.server={ url = \"http://127.0.0.1:9\" }",
            &format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]"),
        ],
    );
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..16]).unwrap();
    assert!(refused(&cut_off, &["cycle"]).contains("http://127.0.0.1:9"));
    let status = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(status.contains("cycle 000001, try 1") && status.contains("--abort 1"), "{status}");
    let said = refused(&fixture.program, &["cycle"]);
    assert!(said.contains("2 tries (cycle.attempts_max)") && said.contains("http://127.0.0.1:9"), "{said}");
    assert!(failure(&fixture).0.contains("http://127.0.0.1:9"));
    let ended = cycle(&fixture).unwrap();
    assert!(matches!(ended.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{ended:?}");
}

#[test]
fn a_cycle_that_ends_the_process_each_time_fails_in_the_end() {
    let fixture = fixture().with(&["cycle.attempts_max=2", "train.epochs=2000", "train.checkpoint_steps=100000"]);
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..24]).unwrap();
    for _ in 0..2 {
        let mut daemon = fixture.start().unwrap();
        daemon.http.post("/v1/cycles", "application/json", b"").unwrap();
        in_training(&mut daemon);
        daemon.kill();
    }
    let said = refused(&fixture.program, &["cycle"]);
    assert!(said.contains("2 tries (cycle.attempts_max)") && said.contains("the process ended each time"), "{said}");
    assert_eq!(waiting(&fixture), 24);
}

/// Learning from rewards, as short as it goes.
const REWARDED: [&str; 4] =
    ["grpo.steps_max=1", "grpo.prompts_per_step=2", "grpo.num_generations=2", "grpo.max_completion_length=8"];

#[test]
fn a_reward_for_another_domain_is_named_with_the_domains_that_there_are() {
    let fixture = fixture().with(&REWARDED);
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..16]).unwrap();
    let named = |text: &str| {
        assert!(text.contains("overlap") && text.contains("tickt") && text.contains("tickets"), "{text}");
    };
    let alone = ["train.objectives=[\"grpo\"]", &overlap("[\"tickt\"]")];
    let program = under(&fixture, &alone);
    named(&program.run(&["check"]).unwrap().success().unwrap());
    named(&refused(&program, &["cycle"]));
    named(&program.run(&["status"]).unwrap().success().unwrap());
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty(), "nothing could be learned: no cycle was begun");

    let both = under(&fixture, &["train.objectives=[\"sft\", \"grpo\"]", &overlap("[\"tickt\"]")]);
    let said = both.run(&["cycle"]).unwrap();
    named(&said.stderr);
    assert!(said.stderr.contains("nothing was learned"), "{}", said.stderr);
    let shown = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(shown.contains("grpo: no sample is a prompt of a domain that a reward plugin scores"), "{shown}");
}

#[test]
fn groups_without_a_signal_end_the_cycle_with_their_shares_and_later_rows_are_trained_on() {
    let fixture = fixture().with(&REWARDED);
    let bare: Vec<String> = (0..4).map(|n| format!("{{\"prompt\": \"What is {n}?\", \"domain\": \"bare\"}}")).collect();
    ingest(&fixture, "bare.jsonl", &bare).unwrap();
    // Without a reference this plugin has nothing to compare with, and abstains.
    let program = under(&fixture, &["train.objectives=[\"grpo\"]", &overlap("[]")]);
    let said = refused(&program, &["cycle"]);
    for part in ["100 % of completions unscored", "100 % of groups with equal rewards", "% of completions cut off"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(failure(&fixture).1.contains("requeue"));
    assert!(fixture.registry().unwrap().adapters().unwrap().is_empty(), "there is no candidate");

    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..16]).unwrap();
    let ended = cycle(&fixture).unwrap();
    assert!(matches!(ended.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{ended:?}");
    let said = fixture.program.run(&["requeue", "1"]).unwrap().success().unwrap();
    assert!(said.contains("2 samples"), "those that were asked: {said}");
}

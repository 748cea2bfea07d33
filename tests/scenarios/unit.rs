//! The shipped unit's own rules: what they forbid must be nothing that the daemon needs, or be told by name.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use perennial_tests::{Fixture, Program, repository, task, wait_until};

use crate::support::{INTAKE_LIMIT, ingest};

const UNIT: &str = "systemd/perennial.service";

/// Learns from a shipped plugin, in a few steps, on one processor.
fn rewarded(fixture: Fixture, cpu: &str) -> Fixture {
    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let plugin = format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]");
    let cpus = format!("resources.cpus=[{cpu}]");
    fixture.with(&[
        &plugin,
        &cpus,
        r#"train.objectives=["grpo"]"#,
        "grpo.steps_max=2",
        "grpo.prompts_per_step=2",
        "grpo.num_generations=4",
        "grpo.max_completion_length=24",
    ])
}

/// The program with a socket of its own, which the unit would let it have.
fn reachable(fixture: &Fixture) -> Program {
    let socket = fixture.state().with_extension("sock");
    fixture.program.clone().with(&format!("http.listen=unix:{}", socket.display()))
}

/// The program, as the unit would let it run.
fn under(unit: &Path, program: &Program, arguments: &[&str]) -> Command {
    let plain = program.command(arguments);
    let mut command = Command::new(env!("CARGO_BIN_EXE_under-unit"));
    command.arg(unit).arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    command
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A processor that this test may use, but not all of them where there are several.
fn one_processor() -> String {
    allowed("/proc/self/status").split([',', '-']).next().unwrap().to_owned()
}

fn allowed(status: &str) -> String {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap_or_default().trim().to_owned()
}

fn changed(fixture: &Fixture, change: impl FnOnce(String) -> String) -> PathBuf {
    let shipped = fs::read_to_string(repository().join(UNIT)).unwrap();
    let unit = change(shipped.clone());
    assert_ne!(unit, shipped, "the unit says otherwise now");
    fixture.file("changed.service", unit).unwrap()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn shipped_unit_runs_a_reward_cycle_on_its_processors() {
    let cpu = one_processor();
    let fixture = rewarded(Fixture::new().unwrap(), &cpu);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let program = reachable(&fixture);
    let log = fs::File::create(fixture.state().with_extension("log")).unwrap();
    let mut command = under(&repository().join(UNIT), &program, &["run"]);
    let daemon = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let log = || fs::read_to_string(fixture.state().with_extension("log")).unwrap();
    // Only the daemon says that it watches: the command reaches it through its socket.
    let watches = || Ok(fixture.program.run(&["status"])?.stdout.contains("watching").then_some(()));
    wait_until("the daemon", INTAKE_LIMIT, watches).unwrap_or_else(|error| panic!("{error}: {}", log()));

    let tasks = PathBuf::from(format!("/proc/{}/task", daemon.0.id()));
    let threads = || {
        fs::read_dir(&tasks).unwrap().map(|entry| allowed(&entry.unwrap().path().join("status").display().to_string()))
    };
    assert!(threads().any(|list| list == cpu), "a thread that calculates keeps to processor {cpu}");

    let ended = fixture.program.run(&["cycle", "--wait"]).unwrap();
    ended.decided().unwrap_or_else(|error| panic!("{error}\n{}", log()));
    let cycle = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    assert!(cycle.candidate.is_some(), "{cycle:?}\n{}", log());
}

#[test]
fn processors_that_a_unit_refuses_are_told_at_the_start() {
    let fixture = rewarded(Fixture::new().unwrap(), &one_processor());
    let unit = changed(&fixture, |unit| unit.replace("SystemCallFilter=sched_setaffinity\n", ""));
    for arguments in [&["run"][..], &["check"], &["cycle"]] {
        let (succeeded, text) = said(&mut under(&unit, &reachable(&fixture), arguments));
        assert!(
            !succeeded && text.contains("`resources.cpus`") && text.contains("sched_setaffinity"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn a_unit_that_lets_no_plugin_run_is_told_by_check() {
    let fixture = rewarded(Fixture::new().unwrap(), &one_processor());
    let unit = changed(&fixture, |unit| unit.replace("[Service]\n", "[Service]\nMemoryDenyWriteExecute=yes\n"));
    let (succeeded, text) = said(&mut under(&unit, &fixture.program, &["check"]));
    assert!(!succeeded && text.contains("wrong  plugins") && text.contains("MemoryDenyWriteExecute"), "{text}");
    let (succeeded, text) = said(&mut under(&repository().join(UNIT), &fixture.program, &["check"]));
    assert!(succeeded && text.contains("ok     processors"), "{text}");
}

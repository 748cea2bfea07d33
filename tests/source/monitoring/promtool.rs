use std::process::{Command, Stdio};

use perennial_tests::repository;

/// Runs promtool, of Debian's package `prometheus`, in `config/monitoring`. Where it is not found, the test says so and ends.
#[allow(clippy::print_stderr, reason = "who reads a green test has to know what it did not test")]
fn promtool(arguments: &[&str]) {
    let there = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        eprintln!("SKIPPED: promtool is not here");
        return;
    }
    let ran =
        Command::new("promtool").args(arguments).current_dir(repository().join("config/monitoring")).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "promtool {}: {}", arguments.join(" "), String::from_utf8_lossy(&said));
}

#[test]
fn prometheus_takes_the_rules() {
    promtool(&["check", "rules", "--lint-fatal", "rules.yml"]);
}

#[test]
fn every_rule_fires_when_it_should_and_not_before() {
    promtool(&["test", "rules", "rules.test.yml", "rules.week.test.yml"]);
}

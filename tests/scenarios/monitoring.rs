//! What Prometheus makes of the running daemon: its scrape, the dashboard's queries, and a rule that fires.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use perennial_tests::{Fixture, repository, task};
use serde_json::Value;

use crate::support::{CYCLE_LIMIT, await_cycle, ingest, promoted};

const LIMIT: Duration = Duration::from_secs(60);

/// Of Debian's package `prometheus`. A test that cannot do without says so and ends.
#[allow(clippy::print_stderr, reason = "who reads a green test has to know what it did not test")]
fn is_there(program: &str) -> bool {
    let ran = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if ran.is_err() {
        eprintln!("SKIPPED: {program} is not here");
    }
    ran.is_ok()
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Scrapes the daemon every second, under the shipped rules, of which those that wait for two hours wait for two seconds.
    fn start(fixture: &Fixture, target: SocketAddr) -> Self {
        let rules = fs::read_to_string(repository().join("config/monitoring/rules.yml")).unwrap();
        let rules = fixture.file("rules.yml", rules.replace("for: 2h", "for: 2s")).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{rules:?}]\n\
             scrape_configs:\n  - job_name: perennial\n    static_configs: [{{ targets: [\"{target}\"] }}]\n"
        );
        let config = fixture.file("prometheus.yml", config).unwrap();
        let data = config.with_file_name("prometheus");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(config.with_file_name("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// How many series a query gives now, a line each; none while the server is not ready.
    fn series(&self, query: &str) -> anyhow::Result<usize> {
        let server = format!("http://{}", self.address);
        let asked = Command::new("promtool").args(["query", "instant", "--", &server, query]).output()?;
        let answer = String::from_utf8_lossy(&asked.stdout).into_owned();
        Ok(if asked.status.success() { answer.lines().filter(|line| line.contains("=>")).count() } else { 0 })
    }
}

#[test]
fn promtool_takes_what_is_exported() {
    if !is_there("promtool") {
        return;
    }
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let exported = fixture.file("metrics", daemon.http.get("/metrics").unwrap().body).unwrap();
    let ran =
        Command::new("promtool").args(["check", "metrics"]).stdin(fs::File::open(exported).unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success(), "{said}");
}

#[test]
fn every_panel_has_data_after_two_cycles_and_alerts_fire_by_drift_and_rollback() {
    if !is_there("prometheus") || !is_there("promtool") {
        return;
    }
    let length = repository().join("plugins/length/length.wasm");
    let plugin =
        format!("reward.plugin=[{{ name = \"short\", file = {length:?}, config = {{ unit = \"words\", max = 20 }} }}]");
    let fixture = Fixture::new().unwrap().with(&[
        r#"train.objectives=["sft", "grpo"]"#,
        "train.steps_max=20",
        "grpo.steps_max=2",
        "grpo.prompts_per_step=2",
        "grpo.num_generations=4",
        "grpo.max_completion_length=16",
        "grpo.measure_kl=true",
        "gate.require=\"not_worse\"",
        "gate.uncertain=\"allow\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
        "drift.interval_seconds=1",
        &plugin,
    ]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..100]).unwrap();
    let mut daemon = fixture.start().unwrap();
    let prometheus = Prometheus::start(&fixture, daemon.http.address());
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap();
    assert!(promoted(&await_cycle(&fixture, &mut daemon).unwrap()));
    // The anchor is the base model: only what follows a champion is held against both.
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..100]).unwrap();
    let drifts = r#"ALERTS{alertname="PerennialInputDrift",alertstate="firing",detector="domain_mix"}"#;
    daemon.wait_for("the alert of drift", LIMIT, || Ok((prometheus.series(drifts)? > 0).then_some(()))).unwrap();
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap();
    daemon
        .wait_for("the second cycle", CYCLE_LIMIT, || {
            let cycles = fixture.registry()?.cycles(2)?;
            Ok((cycles.len() == 2 && cycles[0].finished_ms.is_some()).then_some(()))
        })
        .unwrap();

    let dashboard = fs::read_to_string(repository().join("config/monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    for target in panels.flatten() {
        let query = target["expr"].as_str().unwrap().replace("$instance", ".*").replace("$__rate_interval", "1m");
        daemon.wait_for(&query, LIMIT, || Ok((prometheus.series(&query)? > 0).then_some(()))).unwrap();
    }

    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    let fires = r#"ALERTS{alertname="PerennialRolledBack",alertstate="firing"}"#;
    daemon.wait_for("the alert", LIMIT, || Ok((prometheus.series(fires)? > 0).then_some(()))).unwrap();
}

//! The champion goes to a webhook: what is sent, how often, and what a kill in between makes of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use perennial_tests::{Daemon, Exit, Fixture, task};
use ring::hmac;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{CYCLE_LIMIT, await_cycle, ingest, promoted};

const LIMIT: Duration = Duration::from_secs(30);

const KEY: [u8; 32] = [7; 32];

/// What is answered to a request, by the number of those before it.
type Trouble = fn(usize) -> Response;

/// Takes events, and keeps the ids, timestamps and bodies of those whose signature holds.
#[derive(Clone)]
struct Receiver {
    taken: Arc<Mutex<Vec<Event>>>,
    trouble: Trouble,
}

#[derive(Clone, Debug)]
struct Event {
    id: String,
    seconds: u64,
    body: Value,
}

impl Receiver {
    fn serve(runtime: &Runtime, trouble: Trouble) -> (Self, String) {
        let receiver = Self { taken: Arc::default(), trouble };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/hooks?of=production", listener.local_addr().unwrap());
        let routes = Router::new().route("/hooks", post(take)).with_state(receiver.clone());
        runtime.spawn(async { axum::serve(listener, routes).await.unwrap() });
        (receiver, url)
    }

    fn events(&self) -> Vec<Event> {
        self.taken.lock().unwrap().clone()
    }

    fn await_events(&self, daemon: &mut Daemon, count: usize) -> Vec<Event> {
        daemon
            .wait_for(&format!("{count} events"), LIMIT, || Ok((self.events().len() >= count).then_some(())))
            .unwrap();
        self.events()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, seconds) = (header("webhook-id"), header("webhook-timestamp"));
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let signed = [id.as_bytes(), b".", seconds.as_bytes(), b".", &body].concat();
    if hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed, &signature).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let event = Event { id, seconds: seconds.parse().unwrap(), body: serde_json::from_slice(&body).unwrap() };
    let mut taken = receiver.taken.lock().unwrap();
    taken.push(event);
    (receiver.trouble)(taken.len() - 1)
}

/// A fixture with the folder and a webhook at this address, and samples that a cycle promotes from.
fn fixture(url: &str, keys: &str) -> Fixture {
    let fixture = Fixture::new().unwrap();
    let secret = fixture.file("secret", format!("whsec_{}\n", STANDARD.encode(KEY))).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    ready(
        fixture,
        &format!("{{ kind = \"webhook\", name = \"hook\", url = {url:?}, secret_file = {secret:?}, {keys} }}"),
    )
}

/// A fixture with the folder and these targets, and samples that a cycle promotes from.
pub(crate) fn publishing(targets: &str) -> Fixture {
    ready(Fixture::new().unwrap(), targets)
}

fn ready(fixture: Fixture, targets: &str) -> Fixture {
    let fixture = fixture.with(&[
        "train.epochs=0.5",
        "gate.require=\"not_worse\"",
        "gate.uncertain=\"allow\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
        &format!("publish=[{{ kind = \"folder\" }}{}{targets}]", if targets.is_empty() { "" } else { ", " }),
    ]);
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..100]).unwrap();
    fixture
}

pub(crate) fn promote(fixture: &Fixture, daemon: &mut Daemon) -> String {
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap();
    let cycle = await_cycle(fixture, daemon).unwrap();
    assert!(promoted(&cycle), "{cycle:?}");
    cycle.candidate.unwrap().to_string()
}

/// Waits until the target follows or does not, as the status tells it, and returns its row.
pub(crate) fn await_standing(daemon: &mut Daemon, name: &str, wanted: fn(&Value) -> bool) -> Value {
    let http = daemon.http;
    let find = || -> Result<Option<Value>> {
        let status = http.get("/v1/status")?.json()?;
        let targets = status["targets"].as_array().cloned().unwrap_or_default();
        Ok(targets.into_iter().find(|target| target["target"] == name && wanted(target)))
    };
    daemon.wait_for("another standing of the target", LIMIT, find).unwrap()
}

#[test]
fn a_change_of_the_champion_is_told_until_it_is_taken_and_again_where_a_kill_comes_between() {
    let runtime = Runtime::new().unwrap();
    let (receiver, url) = Receiver::serve(&runtime, |before| match before {
        0 => (StatusCode::INTERNAL_SERVER_ERROR, "not now").into_response(),
        1 => (StatusCode::FOUND, [("location", "http://127.0.0.1:9/")]).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    });
    let fixture = fixture(&url, "pause_seconds = 1");
    let mut daemon = fixture.start().unwrap();
    let champion = promote(&fixture, &mut daemon);
    assert_eq!(fixture.published(), Some(champion.clone()));
    let events = receiver.await_events(&mut daemon, 3);
    await_standing(&mut daemon, "hook", |target| target["served"] == 1 && target["attempts"] == 0);
    for event in &events {
        assert_eq!((&event.id, &event.body), (&events[0].id, &events[0].body), "one event, however often it is sent");
        assert_eq!(event.body["id"], event.id.as_str());
        assert_eq!(event.body["data"]["champion"], champion.as_str());
        assert_eq!(event.body["data"]["cycle"], 1);
        assert_eq!(event.body["data"]["previous"], Value::Null);
    }
    assert!(events[2].seconds > events[0].seconds, "the timestamp is that of the try: {events:?}");
    let metrics = daemon.metrics().unwrap();
    let tries =
        |outcome: &str| metrics.sum("perennial_publish_tries_total", &[("target", "hook"), ("outcome", outcome)]);
    assert_eq!((tries("failed"), tries("served")), (Some(2.0), Some(1.0)));
    assert_eq!(metrics.sum("perennial_publish_behind", &[("target", "hook")]), Some(0.0));
    assert!(daemon.log().contains("answers 500 Internal Server Error: not now"));
    daemon.stop(CYCLE_LIMIT).unwrap();

    // Taken by the receiver, and the daemon is gone before it could note that.
    let killed = fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", "publish.served.hook=kill");
    let daemon = Daemon::start(&killed).unwrap();
    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    assert_eq!(fixture.published(), None);
    assert!(matches!(daemon.wait_exit(LIMIT).unwrap(), Exit::Signal(_)));
    assert_eq!(receiver.events().len(), 4);

    let mut daemon = fixture.start().unwrap();
    let events = receiver.await_events(&mut daemon, 5);
    await_standing(&mut daemon, "hook", |target| target["served"] == 2);
    assert_eq!((&events[3].id, &events[3].body), (&events[4].id, &events[4].body), "at least once, by the same id");
    assert_ne!(events[3].id, events[0].id);
    let data = &events[4].body["data"];
    assert_eq!(
        (&data["champion"], &data["path"], data["reason"].as_str()),
        (&Value::Null, &Value::Null, Some("rollback"))
    );
    assert_eq!(data["previous"], champion.as_str());
    daemon.stop(CYCLE_LIMIT).unwrap();

    // Whoever was told is not told again, and a command without a daemon tells too.
    fixture.program.run(&["promote", "--force", &champion]).unwrap().success().unwrap();
    let events = receiver.events();
    assert_eq!((events.len(), events[5].body["data"]["champion"].as_str()), (6, Some(champion.as_str())));
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    daemon
        .wait_for("a look at the target", LIMIT, || {
            let metrics = perennial_tests::Metrics::parse(&http.get("/metrics")?.body)?;
            Ok(metrics
                .sum("perennial_publish_since_timestamp_seconds", &[("target", "hook")])
                .filter(|since| *since > 0.0))
        })
        .unwrap();
    assert_eq!(receiver.events().len(), 6);
}

#[test]
fn one_that_never_takes_it_is_given_up_by_name_and_tried_again_at_a_reload() {
    let runtime = Runtime::new().unwrap();
    let (receiver, url) = Receiver::serve(&runtime, |before| match before {
        0..3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => StatusCode::OK.into_response(),
    });
    let fixture = fixture(&url, "pause_seconds = 1, attempts_max = 2");
    let mut daemon = fixture.start().unwrap();
    promote(&fixture, &mut daemon);
    let row = await_standing(&mut daemon, "hook", |target| target["attempts"] == 2 && target["next_ms"].is_null());
    assert!(row["error"].as_str().unwrap().contains("503"), "{row}");
    let metrics = daemon.metrics().unwrap();
    assert_eq!(metrics.sum("perennial_publish_given_up", &[("target", "hook")]), Some(1.0));
    assert_eq!(daemon.http.get("/ready").unwrap().status, 200, "rows are taken in whatever the webhook does");
    let shown = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(shown.contains("hook does not serve the champion") && shown.contains("given up after 2 tries"), "{shown}");
    assert!(shown.contains("folder serves the champion") && !shown.contains("production"), "{shown}");
    assert_eq!(receiver.events().len(), 2);

    daemon.signal("HUP").unwrap();
    receiver.await_events(&mut daemon, 3);
    daemon.signal("HUP").unwrap();
    receiver.await_events(&mut daemon, 4);
    await_standing(&mut daemon, "hook", |target| target["served"] == 1);
}

#[test]
fn a_webhook_that_makes_no_sense_is_refused_with_its_line() {
    let fixture = Fixture::new().unwrap();
    let refused = |text: &str| {
        let file = fixture.file("perennial.toml", text).unwrap();
        fixture.program.with_config(&file).run(&["config", "dump"]).unwrap().failure().unwrap()
    };
    let said = refused(
        "[log]\nlevel = \"info\"\n\n[[publish]]\nkind = \"webhook\"\nurl = \"ftp://there\"\ntimeout_seconds = 0\n",
    );
    for part in [
        "perennial.toml:6",
        "publish[0].url",
        "perennial.toml:7",
        "publish[0].timeout_seconds",
        "publish[0].secret_file",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    let said = refused("\n[[publish]]\nkind = \"webhok\"\n");
    assert!(said.contains("perennial.toml:") && said.contains("did you mean `webhook`"), "{said}");
    let said = refused("\n[[publish]]\nkind = \"webhook\"\nurll = \"http://there\"\n");
    assert!(said.contains("perennial.toml:4") && said.contains("did you mean `url`"), "{said}");
    let said = refused("[[publish]]\nkind = \"folder\"\n[[publish]]\nkind = \"folder\"\npath = \"/srv/there\"\n");
    assert!(said.contains("two targets are called \"folder\""), "{said}");
}

//! The daemon with parts that do nothing but count: what is tested is the loop, HTTP and the inbox.

mod stuck;

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use perennial_registry::Registry;
use perennial_types::AdapterId;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    clock,
    config::{Config, SharedConfig},
    http,
    ports::{Cycles, Indexer, Intake, IntakeError, IntakeReport, Origin, RequeueReport, Waiting},
    publishing::Publishing,
    state::StateDir,
    telemetry::{ProgressBar, Telemetry},
};

/// A line is a row; a file that begins with `!` is none, and one that begins with `?` cannot be stored, `#` for want of room.
#[derive(Default)]
struct Fake {
    waiting: AtomicU64,
    /// Whether no cycle could begin, under whatever configuration.
    blocked: AtomicBool,
    /// How often a configuration was refused.
    refused: AtomicU64,
    begun: AtomicU64,
    unfinished: AtomicU64,
    may_end: AtomicBool,
    /// Whether requests of more than [`LIGHT`] bytes are through.
    heavy_may_end: AtomicBool,
    /// Whether a request was stopped.
    stopped: AtomicBool,
    fails: AtomicBool,
    abort: AtomicBool,
    hangs: AtomicBool,
}

/// The longest request that is read at once.
const LIGHT: usize = 1 << 20;

/// What the fake's check refuses.
const REFUSED_RANK: usize = 8;

impl Fake {
    /// As long as a heavy input takes.
    fn wait(&self, text: &str, stop: &Stop) {
        while text.len() > LIGHT && !stop.is_set() && !self.heavy_may_end.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn take(&self, text: &str) -> Result<IntakeReport, IntakeError> {
        if text.starts_with('!') {
            return Err(IntakeError::Unreadable { input: "fake".into(), reason: "no rows".into() });
        }
        if text.starts_with('?') {
            return Err(IntakeError::Storage(anyhow::anyhow!("out of order")));
        }
        if text.starts_with('#') {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(IntakeError::StorageFull(anyhow::Error::from(full).context("the segment")));
        }
        let accepted = text.lines().count() as u64;
        self.waiting.fetch_add(accepted, SeqCst);
        Ok(IntakeReport { accepted, ..Default::default() })
    }
}

impl Intake for Fake {
    fn take_file(&self, mut file: File, _name: &str, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        self.wait(&text, stop);
        self.take(&text)
    }

    fn take_rows(&self, rows: &mut dyn Read, _origin: &Origin, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        let mut text = String::new();
        rows.read_to_string(&mut text).unwrap();
        self.wait(&text, stop);
        self.stopped.fetch_or(stop.is_set(), SeqCst);
        self.take(&text)
    }

    fn requeue(&self, _file: &str) -> anyhow::Result<RequeueReport> {
        Ok(RequeueReport::default())
    }
}

impl Indexer for Fake {
    fn index(&self, _stop: &Stop) -> anyhow::Result<u64> {
        Ok(0)
    }
}

impl Cycles for Fake {
    fn waiting(&self) -> anyhow::Result<Waiting> {
        while self.hangs.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Waiting { samples: self.waiting.load(SeqCst), refused: 0, oldest_ms: Some(clock::now_ms()) })
    }

    fn unfinished(&self) -> anyhow::Result<Option<CycleId>> {
        Ok(Some(self.unfinished.load(SeqCst)).filter(|&cycle| cycle > 0).map(CycleId))
    }

    fn check(&self, config: &Config) -> anyhow::Result<()> {
        anyhow::ensure!(!self.blocked.load(SeqCst), "another base");
        if config.train.r == REFUSED_RANK {
            self.refused.fetch_add(1, SeqCst);
            anyhow::bail!("train.r is not the champion's");
        }
        Ok(())
    }

    fn doubts(&self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn request_abort(&self, cycle: CycleId, _reason: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.unfinished.load(SeqCst) == cycle.0, "it is over");
        self.abort.store(true, SeqCst);
        Ok(())
    }

    fn begin(&self, _cause: Cause) -> anyhow::Result<CycleId> {
        anyhow::ensure!(self.waiting.swap(0, SeqCst) > 0, "no new samples wait");
        let cycle = self.begun.fetch_add(1, SeqCst) + 1;
        self.unfinished.store(cycle, SeqCst);
        Ok(CycleId(cycle))
    }

    fn run(&self, _cycle: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        while !self.may_end.load(SeqCst) {
            if self.abort.load(SeqCst) && (stop.is_set() || self.fails.load(SeqCst)) {
                self.unfinished.store(0, SeqCst);
                return Ok(CycleEnd::Aborted { reason: "asked".into() });
            }
            if stop.is_set() {
                return Ok(CycleEnd::Stopped);
            }
            anyhow::ensure!(!self.fails.load(SeqCst), "out of memory");
            thread::sleep(Duration::from_millis(5));
        }
        self.unfinished.store(0, SeqCst);
        Ok(CycleEnd::Promoted("0123456789ab".parse()?))
    }

    fn decide_anew(&self, _cycle: CycleId) -> anyhow::Result<perennial_gate::Report> {
        anyhow::bail!("no scores are kept")
    }

    fn requeue(&self, _cycle: CycleId) -> anyhow::Result<u64> {
        Ok(3)
    }

    fn promote(&self, _adapter: &AdapterId, _reason: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn roll_back(&self, _to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        Ok(None)
    }
}

struct Running {
    fake: Arc<Fake>,
    folder: TempDir,
    base: String,
    http: reqwest::Client,
    shutdown: CancellationToken,
    service: tokio::task::JoinHandle<anyhow::Result<Exit>>,
    context: Context,
    /// What is read at a reload.
    file: Arc<Mutex<Config>>,
}

impl Running {
    async fn start(fake: Fake, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path(), None);
        state.create().unwrap();
        let mut config = Config::default();
        config.ingest.settle_seconds = 0.0;
        change(&mut config);
        let registry = Registry::open(&state.database()).unwrap();
        let telemetry = Telemetry::new(ProgressBar::hidden()).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let publishing = Publishing::new(&config, &state, registry.clone(), telemetry.clone(), runtime.clone());
        let config_now = SharedConfig::new(config.clone());
        let context = Context { config: config_now, publishing, registry, state, telemetry, runtime };
        let fake = Arc::new(fake);
        let file = Arc::new(Mutex::new(config));
        let reread = file.clone();
        let ports = Ports { intake: fake.clone(), indexer: fake.clone(), cycles: fake.clone() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let listeners = vec![http::Listener::Tcp(listener)];
        let doors = http::Doors { listeners, tokens: None, bounds: context.config.current().http.clone() };
        let shutdown = CancellationToken::new();
        let options = Options {
            context: context.clone(),
            ports,
            addresses: vec![base.clone()],
            serve: Box::new(move |daemon, drain, tasks| http::serve(doors, daemon, drain, tasks)),
            log: LogControl::detached(),
            reread: Arc::new(move || {
                let config = reread.lock().unwrap().clone();
                Ok(Loaded { config, origins: Default::default(), file: None, renamed: Default::default() })
            }),
            shutdown: shutdown.clone(),
        };
        let service = TaskTracker::new().spawn(run(options));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let running = Self { fake, folder, base, http, shutdown, service, context, file };
        running.until("ready", async |running| running.get("/ready").await.0 == 200).await;
        running
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let kind = if path.starts_with("/v1/samples") { "application/x-ndjson" } else { "application/json" };
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", kind);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..1000 {
            if is_so(self).await {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain for: {what}");
    }

    fn begun(&self) -> u64 {
        self.fake.begun.load(SeqCst)
    }

    async fn stop(self) -> Exit {
        self.shutdown.cancel();
        self.service.await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enough_rows_over_http_start_a_cycle_and_a_second_waits() {
    let running = Running::start(Fake::default(), |config| config.cycle.samples_min = 3).await;
    let (status, report) = running.post("/v1/samples?source=a.jsonl", "1\n2\n3\n").await;
    assert_eq!((status, report["accepted"].as_u64()), (200, Some(3)));
    running.until("a cycle", async |running| running.begun() == 1).await;
    running.post("/v1/samples", "4\n5\n6\n").await;
    let (status, refusal) = running.post("/v1/cycles", "").await;
    assert_eq!((status, refusal["code"].as_str()), (409, Some("cycle_under_way")));
    assert_eq!(running.begun(), 1);
    running.fake.may_end.store(true, SeqCst);
    running.until("the next cycle", async |running| running.begun() == 2).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_is_started_by_hand_only_if_samples_wait() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let (status, refusal) = running.post("/v1/cycles", "").await;
    assert_eq!((status, refusal["detail"].as_str()), (409, Some("no new samples wait")));
    running.post("/v1/samples", "1\n").await;
    let (status, started) = running.post("/v1/cycles", "").await;
    assert_eq!((status, started["cycle"].as_u64()), (202, Some(1)));
    let (_, text) = running.get("/v1/status").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["activity"]["cycle"], 1);
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_where_they_belong() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let inbox = running.folder.path().join("inbox");
    for (name, text) in [("good.jsonl", "1\n2\n"), ("bad.bin", "!"), ("later.jsonl", "?")] {
        let hidden = inbox.join(format!(".{name}"));
        std::fs::write(&hidden, text).unwrap();
        std::fs::rename(hidden, inbox.join(name)).unwrap();
    }
    running
        .until("the files", async |running| {
            let exists = |path: &str| running.folder.path().join(path).exists();
            exists("inbox/taken/good.jsonl") && exists("quarantine/files/bad.bin")
        })
        .await;
    assert!(inbox.join("later.jsonl").exists());
    running
        .until("the metric", async |running| {
            let (_, metrics) = running.get("/metrics").await;
            metrics.contains(r#"perennial_ingest_files_total{outcome="failed"} 1"#)
        })
        .await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_cycle_goes_on_at_the_next_start_and_an_ailing_one_waits() {
    let fake = Fake::default();
    fake.unfinished.store(7, SeqCst);
    let running = Running::start(fake, |_| {}).await;
    running.until("the cycle", async |running| running.get("/v1/status").await.1.contains(r#""cycle":7"#)).await;
    running.fake.fails.store(true, SeqCst);
    running.until("the trouble", async |running| running.get("/v1/status").await.1.contains("out of memory")).await;
    running.fake.fails.store(false, SeqCst);
    let line = running.context.telemetry.board().current().line();
    assert_eq!(line, "waiting to try again: cycle 000007: out of memory");
    let (status, started) = running.post("/v1/cycles", "").await;
    assert_eq!((status, started["cycle"].as_u64()), (202, Some(7)), "whoever asks need not wait");
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_json_with_a_code() {
    let running = Running::start(Fake::default(), |config| config.http.body_bytes_max = 1024).await;
    let code = |(status, body): (u16, Value)| (status, body["code"].as_str().unwrap_or_default().to_owned());
    let long = "x\n".repeat(600);
    assert_eq!(code(running.post("/v1/samples", &long).await), (413, "body_too_large".into()));
    assert_eq!(code(running.post("/v1/samples", "!").await), (422, "unreadable".into()));
    assert_eq!(code(running.post("/v1/samples", "?").await), (503, "unavailable".into()));
    assert_eq!(code(running.post("/v1/samples", "#").await), (507, "storage_full".into()));
    assert_eq!(code(running.post("/v1/samples?lines=1", "1").await), (400, "bad_request".into()));
    assert_eq!(code(running.post("/v1/nothing", "").await), (404, "not_found".into()));
    assert_eq!(code(running.post("/v1/status", "").await), (405, "method_not_allowed".into()));
    assert_eq!(code(running.post("/v1/adapters/xyz/promote", "").await), (400, "bad_request".into()));
    assert_eq!(code(running.post("/v1/rollback", "{\"from\": 1}").await), (400, "bad_request".into()));
    let (status, _) = running.get("/v1/adapters/0123456789ab").await;
    assert_eq!(status, 404);
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_requests_hold_up_neither_small_ones_nor_the_inbox_and_end_when_their_senders_leave() {
    let running = Running::start(Fake::default(), |config| config.ingest.desks = 2).await;
    let heavy = "x\n".repeat(LIGHT);
    let senders = TaskTracker::new();
    let mut requests = Vec::new();
    for _ in 0..4 {
        let request = running.http.post(format!("{}/v1/samples", running.base));
        let request = request.header("content-type", "application/x-ndjson").body(heavy.clone());
        requests.push(senders.spawn(request.send()));
    }
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert_eq!(running.post("/v1/samples", "1\n").await.0, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    std::fs::write(running.folder.path().join("inbox/a.jsonl"), "1\n").unwrap();
    let taken = running.folder.path().join("inbox/taken/a.jsonl");
    running.until("the file", async |_| taken.exists()).await;
    assert!(!running.fake.stopped.load(SeqCst));
    requests.iter().for_each(|request| request.abort());
    running.until("the end of the reading", async |running| running.fake.stopped.load(SeqCst)).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_request_does_not_hold_a_stop() {
    let running = Running::start(Fake::default(), |config| config.ingest.desks = 1).await;
    let senders = TaskTracker::new();
    let requests: Vec<_> = (0..2)
        .map(|_| running.http.post(format!("{}/v1/samples", running.base)).header("content-type", "application/jsonl"))
        .map(|request| request.body("x\n".repeat(LIGHT)))
        .map(|request| senders.spawn(request.send()))
        .collect();
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert_eq!(running.stop().await, Exit::Clean);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    for request in requests {
        let _ = request.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_cannot_be_moved_is_set_aside_and_holds_no_other_up() {
    let running = Running::start(Fake::default(), |config| config.ingest.attempts_max = 2).await;
    let root = running.folder.path();
    // Where refused files go lies a file: they cannot be moved there, whoever runs this.
    std::fs::write(root.join("quarantine/files"), "").unwrap();
    std::fs::write(root.join("inbox/a.bin"), "!").unwrap();
    std::fs::write(root.join("inbox/b.jsonl"), "1\n").unwrap();
    running.until("the other file", async |_| root.join("inbox/taken/b.jsonl").exists()).await;
    let status = async |running: &Running| {
        let (_, text) = running.get("/v1/status").await;
        serde_json::from_str::<Value>(&text).unwrap()["intake"].clone()
    };
    running.until("the file set aside", async |running| status(running).await["set_aside_files"] == 1).await;
    let aside = status(&running).await["set_aside"][0].clone();
    assert_eq!((aside["file"].as_str(), aside["attempts"].as_u64()), (Some("a.bin"), Some(2)));
    assert!(root.join("inbox/a.bin").exists());
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains(r#"perennial_ingest_files_total{outcome="set_aside"} 1"#));
    // Once it changes, it is tried again.
    std::fs::remove_file(root.join("quarantine/files")).unwrap();
    std::fs::write(root.join("inbox/a.bin"), "! again").unwrap();
    running.until("the changed file", async |_| root.join("quarantine/files/a.bin").exists()).await;
    running.until("a clean status", async |running| status(running).await["set_aside_files"] == 0).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_hangs_stops_neither_the_loop_nor_http() {
    let fake = Fake::default();
    fake.hangs.store(true, SeqCst);
    let running = Running::start(fake, |_| {}).await;
    assert_eq!(running.get("/live").await.0, 200);
    let inbox = running.folder.path().join("inbox");
    std::fs::write(inbox.join(".a"), "1\n").unwrap();
    std::fs::rename(inbox.join(".a"), inbox.join("a.jsonl")).unwrap();
    let taken = running.folder.path().join("inbox/taken/a.jsonl");
    let limit = Instant::now() + Duration::from_secs(10);
    while !taken.exists() && Instant::now() < limit {
        sleep(Duration::from_millis(10)).await;
    }
    // Before anything may fail: the runtime's end waits for what hangs.
    running.fake.hangs.store(false, SeqCst);
    assert!(taken.exists(), "the inbox was not looked at");
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_file_holds_no_light_one_up() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let root = running.folder.path();
    std::fs::write(root.join("inbox/a-heavy.jsonl"), "x\n".repeat(8 << 20)).unwrap();
    sleep(Duration::from_millis(500)).await;
    std::fs::write(root.join("inbox/b-light.jsonl"), "1\n").unwrap();
    running.until("the light file", async |_| root.join("inbox/taken/b-light.jsonl").exists()).await;
    assert!(root.join("inbox/a-heavy.jsonl").exists());
    running.fake.heavy_may_end.store(true, SeqCst);
    running.until("the heavy file", async |_| root.join("inbox/taken/a-heavy.jsonl").exists()).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

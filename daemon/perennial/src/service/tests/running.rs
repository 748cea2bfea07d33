//! The daemon while it runs.

use super::*;

pub(super) struct Running {
    pub(super) fake: Arc<Fake>,
    pub(super) folder: TempDir,
    pub(super) base: String,
    pub(super) http: reqwest::Client,
    pub(super) shutdown: CancellationToken,
    pub(super) service: tokio::task::JoinHandle<anyhow::Result<Exit>>,
    pub(super) context: Context,
    /// What is read at a reload.
    pub(super) file: Arc<Mutex<Config>>,
}

impl Running {
    pub(super) async fn start(fake: Fake, change: impl FnOnce(&mut Config)) -> Self {
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
        let ports = Ports { intake: fake.clone(), indexer: fake.clone(), cycles: fake.clone(), drift: fake.clone() };
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

    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let kind = if path.starts_with("/v1/samples") { "application/x-ndjson" } else { "application/json" };
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", kind);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    pub(super) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..1000 {
            if is_so(self).await {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain for: {what}");
    }

    pub(super) fn begun(&self) -> u64 {
        self.fake.begun.load(SeqCst)
    }

    pub(super) async fn stop(self) -> Exit {
        self.shutdown.cancel();
        self.service.await.unwrap().unwrap()
    }
}

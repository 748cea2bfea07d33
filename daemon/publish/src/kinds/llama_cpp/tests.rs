//! Against a server in this process that does as llama-server's documentation says it does.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::testing::{Named, wish};

/// What the server has and does.
#[derive(Default)]
struct State {
    /// The files that it was started with, and their weights.
    adapters: Vec<(String, f64)>,
    /// How they were at its last start.
    started_with: Vec<(String, f64)>,
    /// Whether it applies what it has.
    applies: bool,
    /// Requests that it answers as a server does that loads its model.
    loading: usize,
    /// What it was asked, but for lists.
    asked: Vec<String>,
}

struct LlamaServer {
    runtime: Runtime,
    url: String,
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

impl LlamaServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { applies: true, ..State::default() }));
        let (own, folder) = (Arc::clone(&state), tempfile::tempdir().unwrap());
        // A program that was started to restart it leaves a file with the arguments.
        let told = folder.path().join("told");
        thread::spawn(move || {
            for stream in listener.incoming() {
                own.lock().unwrap().read_arguments(&told);
                answer(&stream.unwrap(), &own);
            }
        });
        Self { runtime: Runtime::new().unwrap(), url, folder, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A target whose program restarts the server; `restarts` is what it does besides.
    fn target(&self, restart: Option<&str>) -> LlamaCpp {
        let told = self.folder.path().join("told");
        let script = format!("echo \"$PERENNIAL_LORA\" > {}; {}", told.display(), restart.unwrap_or_default());
        let run: Vec<&str> = if restart.is_some() { vec!["/bin/sh", "-c", &script] } else { Vec::new() };
        let config = json!({ "url": self.url, "restart": run, "ready_seconds": 2, "restart_seconds": 5 });
        let config: LlamaCppConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.faults(), []);
        let folder = self.folder.path().join("files");
        LlamaCpp {
            config,
            files: Files { folder, seen: "/srv/lora".into() },
            exporter: Arc::new(Named),
            runtime: self.runtime.handle().clone(),
            restarted_in_vain: Mutex::default(),
        }
    }

    fn restarts(&self) -> usize {
        self.state().asked.iter().filter(|asked| *asked == "restart").count()
    }

    /// The adapters with their weights.
    fn weights(&self) -> Vec<(String, f64)> {
        self.state().adapters.clone()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("files")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, answer) = state.lock().unwrap().answer(&method, &path, &body);
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    let mut stream = stream;
    stream.write_all((head + &text).as_bytes()).unwrap();
}

impl State {
    fn read_arguments(&mut self, told: &Path) {
        let Ok(arguments) = fs::read_to_string(told) else { return };
        fs::remove_file(told).unwrap();
        self.asked.push("restart".to_owned());
        let listed = arguments.trim().strip_prefix("--lora-scaled ").unwrap_or_default();
        let each = listed.split(',').filter_map(|one| one.split_once(':'));
        self.adapters = each.map(|(path, scale)| (path.to_owned(), scale.parse().unwrap())).collect();
        self.started_with = self.adapters.clone();
    }

    fn answer(&mut self, method: &str, path: &str, body: &Value) -> (&'static str, Value) {
        if self.loading > 0 {
            self.loading -= 1;
            return ("503 Service Unavailable", json!({ "error": { "message": "Loading model", "code": 503 } }));
        }
        let given = |weights: &Value, at: usize| {
            let found = weights.as_array().unwrap().iter().find(|one| one["id"] == at);
            found.map_or(0.0, |one| one["scale"].as_f64().unwrap())
        };
        match (method, path) {
            ("GET", "/health") => ("200 OK", json!({ "status": "ok" })),
            ("GET", "/lora-adapters") => {
                let each = self.adapters.iter().enumerate();
                ("200 OK", each.map(|(id, (path, scale))| json!({ "id": id, "path": path, "scale": scale })).collect())
            }
            ("POST", "/lora-adapters") => {
                self.asked.push("weigh".to_owned());
                for (at, (_, scale)) in self.adapters.iter_mut().enumerate() {
                    *scale = given(body, at);
                }
                ("200 OK", json!({ "success": true }))
            }
            ("POST", "/completion") => {
                let weight: f64 = (0..self.adapters.len()).map(|at| given(&body["lora"], at)).sum();
                let shift = if self.applies { weight } else { 0.0 };
                let tokens =
                    json!([{ "id": 7, "token": " a", "logprob": -0.25 - shift }, { "id": 9, "logprob": -2.5 }]);
                (
                    "200 OK",
                    json!({ "completion_probabilities": [{ "id": 7, "logprob": -0.25, "top_logprobs": tokens }] }),
                )
            }
            _ => ("404 Not Found", json!({ "error": { "code": 404 } })),
        }
    }
}

fn id(weights: &str) -> AdapterId {
    wish(1, Some(weights)).adapter().unwrap().clone()
}

fn path(weights: &str) -> String {
    format!("/srv/lora/{}.gguf", id(weights))
}

/// The change from one champion to the next.
fn change(from: &str, to: &str, reason: &str) -> Wish {
    Wish { previous: Some(id(from)), reason: reason.to_owned(), ..wish(2, Some(to)) }
}

#[test]
fn a_new_file_takes_a_restart_and_a_rollback_only_other_weights() {
    let server = LlamaServer::start();
    let target = server.target(Some(""));
    let serves = |wish: &Wish| target.observe(wish).unwrap() == Observed::Serves(wish.adapter().cloned());
    let one = wish(1, Some("one"));
    assert!(!serves(&one));
    server.state().loading = 2;
    // A server that is loading its model is asked again at the next try.
    assert!(target.publish(&one).is_err());
    server.state().loading = 0;
    target.publish(&one).unwrap();
    assert!(serves(&one));
    assert_eq!((server.weights(), server.restarts()), (vec![(path("one"), 1.0)], 1));

    let two = change("one", "two", "passed");
    assert!(!serves(&two));
    target.publish(&two).unwrap();
    assert_eq!((server.weights(), server.restarts()), (vec![(path("two"), 1.0), (path("one"), 0.0)], 2));
    let before = [(path("two"), 0.0), (path("one"), 1.0)];
    assert_eq!(server.state().started_with, before, "the one before stays in service until this one was asked");
    let file = |weights: &str| format!("{}.gguf", id(weights));
    let mut both = vec![file("one"), file("two"), "lora.env".to_owned()];
    both.sort();
    assert_eq!(server.files(), both);
    let environment = fs::read_to_string(target.files.environment()).unwrap();
    let wanted = format!("PERENNIAL_LORA=--lora-scaled {}:1,{}:0\n", path("two"), path("one"));
    assert!(environment.ends_with(&wanted), "{environment}");
    assert_eq!(fs::read_to_string(target.files.folder.join(file("two"))).unwrap(), format!("gguf {}", id("two")));

    let back = change("two", "one", "rollback");
    assert_eq!(target.observe(&back).unwrap(), Observed::Serves(Some(id("two"))));
    target.publish(&back).unwrap();
    assert!(serves(&back));
    assert_eq!((server.weights(), server.restarts()), (vec![(path("two"), 0.0), (path("one"), 1.0)], 2));
    assert_eq!(server.files(), [file("one"), "lora.env".to_owned()]);

    // Set otherwise by somebody, it is set right; the next look says so.
    server.state().adapters = vec![(path("one"), 0.0)];
    assert_eq!(target.observe(&back).unwrap(), Observed::Serves(None));
    target.publish(&back).unwrap();
    assert!(serves(&back) && server.restarts() == 2);

    let base = wish(4, None);
    assert!(!serves(&base));
    target.publish(&base).unwrap();
    assert!(serves(&base) && server.restarts() == 2);
    assert_eq!((server.weights(), server.files()), (vec![(path("one"), 0.0)], vec!["lora.env".to_owned()]));
}

#[test]
fn only_the_champion_counts_whatever_else_the_server_has() {
    let server = LlamaServer::start();
    let target = server.target(Some(""));
    server.state().adapters = vec![("/theirs/style.gguf".to_owned(), 1.0), (path("one"), 0.5)];
    let one = wish(1, Some("one"));
    assert_eq!(target.observe(&one).unwrap(), Observed::Serves(None));
    target.publish(&one).unwrap();
    assert_eq!(server.weights(), [("/theirs/style.gguf".to_owned(), 0.0), (path("one"), 1.0)]);
    assert_eq!(server.restarts(), 0, "the server has the file");
}

#[test]
fn an_adapter_that_is_not_applied_replaces_nothing() {
    let server = LlamaServer::start();
    let target = server.target(Some(""));
    target.publish(&wish(1, Some("one"))).unwrap();
    server.state().adapters.push((path("two"), 0.0));
    server.state().applies = false;
    let refused = target.publish(&change("one", "two", "passed")).unwrap_err().to_string();
    assert!(refused.contains("is not applied") && refused.contains(&path("two")), "{refused}");
    assert_eq!(server.weights(), [(path("one"), 1.0), (path("two"), 0.0)]);
}

#[test]
fn a_server_is_restarted_once_for_a_file_that_it_does_not_take_and_never_by_nobody() {
    let server = LlamaServer::start();
    let by_hand = server.target(None).publish(&wish(1, Some("one"))).unwrap_err().to_string();
    assert!(by_hand.contains(&format!("--lora-scaled {}:0", path("one"))) && by_hand.contains("lora.env"), "{by_hand}");

    // It is restarted, but not with what the file says.
    let told = server.folder.path().join("told").display().to_string();
    let target = server.target(Some(&format!("echo --threads 2 > {told}")));
    let tries: Vec<String> = (0..3).map(|_| target.publish(&wish(1, Some("one"))).unwrap_err().to_string()).collect();
    assert!(tries[0].contains("after ready_seconds, 2, does not have"), "{}", tries[0]);
    assert!(tries[2].contains("not restarted for this champion again"), "{}", tries[2]);
    assert_eq!(server.restarts(), 1);

    let failing = server.target(Some("echo no such unit >&2; exit 5"));
    let failed = failing.publish(&wish(1, Some("two"))).unwrap_err().to_string();
    assert!(failed.contains("/bin/sh") && failed.contains("no such unit"), "{failed}");
}

#[test]
fn what_is_no_llama_server_is_told_as_such() {
    let server = LlamaServer::start();
    let mut target = server.target(None);
    assert!(target.check().unwrap().starts_with("http://127.0.0.1:"));
    target.config.url += "elsewhere";
    assert!(target.check().unwrap_err().to_string().contains("is it llama-server?"));
    let config = json!({
        "name": "current", "url": "llama", "restart": ["systemctl"], "ready_seconds": 0, "server_path": "a folder",
    });
    let config: LlamaCppConfig = serde_json::from_value(config).unwrap();
    let faults: Vec<&str> = config.faults().iter().map(|fault| fault.key).collect();
    assert_eq!(faults, ["url", "server_path", "server_path", "name", "restart", "ready_seconds"]);
}

//! Against a server in this process that does as vLLM's documentation says it does.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::testing::wish;

/// What the server has and does.
#[derive(Default)]
struct State {
    /// Folders by name.
    adapters: BTreeMap<String, String>,
    /// Whether it applies what it has loaded.
    applies: bool,
    /// Whether it can be told to forget prefixes; how often it was.
    is_in_dev_mode: bool,
    forgotten: usize,
    /// What it was asked, but for lists.
    asked: Vec<String>,
}

struct Vllms {
    runtime: Runtime,
    url: String,
    state: Arc<Mutex<State>>,
}

impl Vllms {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { applies: true, is_in_dev_mode: true, ..State::default() }));
        let own = Arc::clone(&state);
        thread::spawn(move || listener.incoming().for_each(|stream| answer(&stream.unwrap(), &own)));
        Self { runtime: Runtime::new().unwrap(), url, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn target(&self, alias: Option<&str>) -> Vllm {
        let config = json!({ "url": self.url, "alias": alias });
        let config: VllmConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.faults(), []);
        Vllm { config, adapters: "/srv/adapters".into(), runtime: self.runtime.handle().clone() }
    }

    fn names(&self) -> Vec<String> {
        self.state().adapters.keys().cloned().collect()
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
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
    let (status, text) = state.lock().unwrap().answer(&path, &body);
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    let mut stream = stream;
    stream.write_all((head + &text).as_bytes()).unwrap();
}

impl State {
    fn answer(&mut self, path: &str, body: &Value) -> (&'static str, String) {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        if path != "/v1/models" {
            self.asked.push(format!("{path} {}{}", text("lora_name"), text("model")));
        }
        match path {
            "/v1/models" => {
                let mut models = vec![json!({ "id": "base", "root": "/models/base", "parent": null })];
                let of = |(name, root): (&String, &String)| json!({ "id": name, "root": root, "parent": "base" });
                models.extend(self.adapters.iter().map(of));
                ("200 OK", json!({ "object": "list", "data": models }).to_string())
            }
            "/v1/load_lora_adapter" if self.adapters.contains_key(&text("lora_name")) => (
                "400 Bad Request",
                json!({ "error": { "message": "has already been loaded", "code": 400 } }).to_string(),
            ),
            "/v1/load_lora_adapter" => {
                self.adapters.insert(text("lora_name"), text("lora_path"));
                ("200 OK", "Success".to_owned())
            }
            "/v1/unload_lora_adapter" => match self.adapters.remove(&text("lora_name")) {
                Some(_) => ("200 OK", "Success".to_owned()),
                None => ("404 Not Found", String::new()),
            },
            "/reset_prefix_cache" if self.is_in_dev_mode => {
                self.forgotten += 1;
                ("200 OK", String::new())
            }
            "/v1/completions" => {
                let shift = if self.applies && text("model") != "base" { -0.5 } else { 0.0 };
                let logprobs = json!({ "top_logprobs": [{ " Paris": -0.25 + shift, " London": -2.5 }] });
                let choices: Vec<Value> =
                    body["prompt"].as_array().unwrap().iter().map(|_| json!({ "logprobs": logprobs })).collect();
                ("200 OK", json!({ "choices": choices }).to_string())
            }
            _ => ("404 Not Found", json!({ "detail": "Not Found" }).to_string()),
        }
    }
}

fn id(weights: &str) -> AdapterId {
    wish(1, Some(weights)).adapter().unwrap().clone()
}

fn named(weights: &str) -> String {
    format!("perennial-{}", id(weights))
}

/// The change from one champion to the next.
fn change(from: &str, to: &str, reason: &str) -> Wish {
    Wish { previous: Some(id(from)), reason: reason.to_owned(), ..wish(2, Some(to)) }
}

#[test]
fn the_champion_is_loaded_under_its_own_name_and_those_before_go() {
    let server = Vllms::start();
    server.state().adapters.insert("another".to_owned(), "/theirs".to_owned());
    let target = server.target(None);
    let serves = |wish: &Wish| target.observe(wish).unwrap() == Observed::Serves(wish.adapter().cloned());
    let changes = [wish(1, Some("one")), change("one", "two", "passed"), change("two", "three", "passed")];
    for change in &changes {
        assert!(!serves(change));
        target.publish(change).unwrap();
        assert!(serves(change));
    }
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    // The one before stays for the answers that are under way.
    assert_eq!(server.names(), sorted(&["another", &named("two"), &named("three")]));
    let loads = |server: &Vllms| server.state().asked.iter().filter(|asked| asked.starts_with("/v1/load")).count();
    let before = loads(&server);
    target.publish(&changes[2]).unwrap();
    assert_eq!(loads(&server), before, "what is there is not loaded again");

    // What was taken back does not.
    let back = change("three", "two", "rollback");
    target.publish(&back).unwrap();
    assert!(serves(&back));
    assert_eq!((server.names(), loads(&server)), (sorted(&["another", &named("two")]), before));

    // Restarted, it has nothing; the next look says so.
    server.state().adapters.clear();
    assert_eq!(target.observe(&back).unwrap(), Observed::Serves(None));
    target.publish(&back).unwrap();
    assert_eq!(server.names(), [named("two")]);

    let base = wish(4, None);
    assert!(!serves(&base));
    target.publish(&base).unwrap();
    assert!(serves(&base) && server.names().is_empty());
}

#[test]
fn an_adapter_that_is_not_applied_replaces_nothing() {
    let server = Vllms::start();
    let target = server.target(None);
    target.publish(&wish(1, Some("one"))).unwrap();
    server.state().applies = false;
    let refused = target.publish(&change("one", "two", "passed")).unwrap_err().to_string();
    assert!(refused.contains("is not applied") && refused.contains(&named("two")), "{refused}");
    assert!(server.names().contains(&named("one")));
}

#[test]
fn an_alias_never_answers_from_what_was_computed_under_it_before() {
    let server = Vllms::start();
    let target = server.target(Some("champion"));
    for (change, forgotten) in [(wish(1, Some("one")), 1), (change("one", "two", "passed"), 3)] {
        target.publish(&change).unwrap();
        let state = server.state();
        let champion = change.champion.as_ref().unwrap();
        assert_eq!(state.adapters["champion"], state.adapters[&target.name_of(&champion.adapter)]);
        assert_eq!(state.forgotten, forgotten);
        drop(state);
        assert_eq!(target.observe(&change).unwrap(), Observed::Serves(Some(champion.adapter.clone())));
    }
    let two = change("one", "two", "passed");
    server.state().adapters.insert("champion".to_owned(), "/srv/adapters/one".to_owned());
    assert_ne!(target.observe(&two).unwrap(), Observed::Serves(Some(id("two"))), "the alias is part of it");

    server.state().is_in_dev_mode = false;
    let refused = target.publish(&change("two", "three", "passed")).unwrap_err().to_string();
    assert!(refused.contains("VLLM_SERVER_DEV_MODE=1"), "{refused}");
}

#[test]
fn what_is_no_vllm_is_told_as_such() {
    let server = Vllms::start();
    let mut target = server.target(None);
    assert!(target.check().unwrap().starts_with("http://127.0.0.1:"));
    target.config.url += "elsewhere";
    assert!(target.check().unwrap_err().to_string().contains("404"));
    target.config =
        VllmConfig { prefix: String::new(), alias: Some("-a".to_owned()), url: "vllm".to_owned(), ..target.config };
    let faults: Vec<&str> = target.config.faults().iter().map(|fault| fault.key).collect();
    assert_eq!(faults, ["url", "prefix", "alias"]);
}

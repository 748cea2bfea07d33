//! The champion goes to a server of llama.cpp's: a restart for each new file, other weights for a rollback.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    publish::{await_standing, promote, publishing},
    support::CYCLE_LIMIT,
};

/// The server: what it was started with, and how that weighs. It is restarted by a program that leaves the arguments in a file.
#[derive(Clone)]
struct Llama {
    told: PathBuf,
    adapters: Arc<Mutex<Vec<(String, f64)>>>,
}

impl Llama {
    fn serve(runtime: &Runtime, told: &Path) -> (Self, String) {
        let server = Self { told: told.to_owned(), adapters: Arc::default() };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
            .route("/lora-adapters", get(list).post(weigh))
            .route("/completion", post(complete))
            .with_state(server.clone());
        runtime.spawn(async { axum::serve(listener, routes).await.unwrap() });
        (server, url)
    }

    fn weights(&self) -> Vec<(String, f64)> {
        self.adapters.lock().unwrap().clone()
    }

    /// Starts anew with the files that it is told of, which it opens as llama.cpp would.
    fn restart(&self) {
        let Ok(arguments) = fs::read_to_string(&self.told) else { return };
        fs::remove_file(&self.told).unwrap();
        let listed = arguments.trim().strip_prefix("--lora-scaled ").unwrap_or_default();
        let each = listed.split(',').filter_map(|one| one.split_once(':'));
        let there = each.filter(|(file, _)| fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"GGUF")));
        *self.adapters.lock().unwrap() = there.map(|(file, scale)| (file.to_owned(), scale.parse().unwrap())).collect();
    }
}

async fn list(State(server): State<Llama>) -> Json<Value> {
    server.restart();
    let each = server.weights().into_iter().enumerate();
    Json(each.map(|(id, (path, scale))| json!({ "id": id, "path": path, "scale": scale })).collect())
}

fn weight(body: &Value, at: usize) -> f64 {
    let given = body.as_array().unwrap().iter().find(|one| one["id"] == at);
    given.map_or(0.0, |one| one["scale"].as_f64().unwrap())
}

async fn weigh(State(server): State<Llama>, Json(body): Json<Value>) -> Json<Value> {
    for (at, (_, scale)) in server.adapters.lock().unwrap().iter_mut().enumerate() {
        *scale = weight(&body, at);
    }
    Json(json!({ "success": true }))
}

async fn complete(State(server): State<Llama>, Json(body): Json<Value>) -> Json<Value> {
    let adapted: f64 = (0..server.weights().len()).map(|at| weight(&body["lora"], at)).sum();
    let tokens = json!([{ "id": 5, "logprob": -0.5 - adapted }, { "id": 6, "logprob": -2.0 }]);
    Json(json!({ "completion_probabilities": [{ "top_logprobs": tokens }] }))
}

#[test]
fn a_server_is_restarted_with_the_champions_file_and_goes_back_without_a_restart() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let (server, url) = Llama::serve(&runtime, &told);
    let restart = json!(["/bin/sh", "-c", "echo \"$PERENNIAL_LORA\" > \"$0\"", told]);
    let fixture = publishing(&format!(
        "{{ kind = \"llama_cpp\", url = {url:?}, restart = {restart}, ready_seconds = 30, pause_seconds = 1 }}"
    ));
    let mut daemon = fixture.start().unwrap();
    let champion = promote(&fixture, &mut daemon);
    await_standing(&mut daemon, "llama_cpp", |target| target["served"] == 1);
    let file = fixture.state().join(format!("export/llama_cpp/{champion}.gguf")).display().to_string();
    assert_eq!(server.weights(), [(file.clone(), 1.0)]);
    let environment = fs::read_to_string(fixture.state().join("export/llama_cpp/lora.env")).unwrap();
    assert!(environment.ends_with(&format!("PERENNIAL_LORA=--lora-scaled {file}:1\n")), "{environment}");

    // The same bytes come of it when a person asks.
    let exported = folder.path().join("by-hand.gguf").display().to_string();
    let arguments = ["export", "champion", "--format", "gguf", "--out", &exported];
    fixture.program.run(&arguments).unwrap().success().unwrap();
    assert_eq!(fs::read(&exported).unwrap(), fs::read(&file).unwrap());

    // Started otherwise by somebody, it weighs nothing until the daemon looks.
    fs::write(&told, format!("--lora-scaled {file}:0")).unwrap();
    server.restart();
    daemon.signal("HUP").unwrap();
    let weighed = || Ok((server.weights() == [(file.clone(), 1.0)]).then_some(()));
    daemon.wait_for("a server that weighs the champion again", CYCLE_LIMIT, weighed).unwrap();

    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    await_standing(&mut daemon, "llama_cpp", |target| target["served"] == 2);
    assert_eq!(server.weights(), [(file.clone(), 0.0)]);
    assert!(!told.exists() && !fs::exists(&file).unwrap(), "no restart, and no file that nobody needs");
    daemon.stop(CYCLE_LIMIT).unwrap();
}

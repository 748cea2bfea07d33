//! The champion goes to a server of vLLM's and to a program: what each is told, and what becomes of a server that is restarted.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    publish::{await_standing, promote, publishing},
    support::CYCLE_LIMIT,
};

/// The adapters that the server has, with their folders, which it opens as vLLM would.
#[derive(Clone, Default)]
struct Vllm(Arc<Mutex<BTreeMap<String, String>>>);

impl Vllm {
    fn serve(runtime: &Runtime) -> (Self, String) {
        let server = Self::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/load_lora_adapter", post(load))
            .route("/v1/unload_lora_adapter", post(unload))
            .route("/v1/completions", post(complete))
            .with_state(server.clone());
        runtime.spawn(async { axum::serve(listener, routes).await.unwrap() });
        (server, url)
    }

    fn adapters(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap()
    }
}

async fn models(State(server): State<Vllm>) -> Response {
    let mut models = vec![json!({ "id": "tiny", "root": "/models/tiny", "parent": null })];
    models.extend(server.adapters().iter().map(|(id, root)| json!({ "id": id, "root": root, "parent": "tiny" })));
    Json(json!({ "object": "list", "data": models })).into_response()
}

async fn load(State(server): State<Vllm>, Json(body): Json<Value>) -> StatusCode {
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    if !fs::exists(format!("{}/adapter_model.safetensors", text("lora_path"))).unwrap() {
        return StatusCode::NOT_FOUND;
    }
    match server.adapters().insert(text("lora_name"), text("lora_path")) {
        None => StatusCode::OK,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

async fn unload(State(server): State<Vllm>, Json(body): Json<Value>) -> StatusCode {
    match server.adapters().remove(body["lora_name"].as_str().unwrap()) {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    }
}

async fn complete(State(server): State<Vllm>, Json(body): Json<Value>) -> Json<Value> {
    let is_adapted = server.adapters().contains_key(body["model"].as_str().unwrap());
    let logprobs = json!({ "top_logprobs": [{ "a": if is_adapted { -1.0 } else { -0.5 }, "b": -2.0 }] });
    let choices: Vec<Value> =
        body["prompt"].as_array().unwrap().iter().map(|_| json!({ "logprobs": logprobs })).collect();
    Json(json!({ "choices": choices }))
}

#[test]
fn a_server_that_is_restarted_is_filled_again_and_a_program_is_started_until_it_succeeds() {
    let runtime = Runtime::new().unwrap();
    let (server, url) = Vllm::serve(&runtime);
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = "cat > \"$0\"; if [ ! -e \"$0.once\" ]; then touch \"$0.once\"; echo no server yet >&2; exit 7; fi";
    let run = json!(["/bin/sh", "-c", script, told]);
    let fixture = publishing(&format!(
        "{{ kind = \"vllm\", url = {url:?}, pause_seconds = 1 }}, {{ kind = \"command\", run = {run}, pause_seconds = 1 }}"
    ));
    let mut daemon = fixture.start().unwrap();
    let champion = promote(&fixture, &mut daemon);
    await_standing(&mut daemon, "vllm", |target| target["served"] == 1);
    assert_eq!(server.adapters().keys().cloned().collect::<Vec<_>>(), [format!("perennial-{champion}")]);

    await_standing(&mut daemon, "command", |target| target["served"] == 1);
    assert!(daemon.log().contains("exit status: 7: no server yet"));
    let event: Value = serde_json::from_slice(&fs::read(&told).unwrap()).unwrap();
    assert_eq!(event["data"]["champion"], champion.as_str());

    // All that it had is gone. The daemon looks every minute, and at once where it is told to read its configuration again.
    server.adapters().clear();
    daemon.signal("HUP").unwrap();
    let filled = || Ok((!server.adapters().is_empty()).then_some(()));
    daemon.wait_for("a server that is filled again", CYCLE_LIMIT, filled).unwrap();

    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    await_standing(&mut daemon, "vllm", |target| target["served"] == 2);
    assert!(server.adapters().is_empty());
    daemon.stop(CYCLE_LIMIT).unwrap();
}

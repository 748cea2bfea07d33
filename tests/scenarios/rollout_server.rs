//! A server with vLLM's interface draws the completions: what it is asked, and what comes of its answers.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use perennial_tests::{Fixture, repository, task};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{cycle, ingest, report};

/// What the server was asked, in order: the path's kind and the body.
type Asked = Arc<Mutex<Vec<(&'static str, Value)>>>;

/// What goes wrong: the status that a request is answered with, by its kind and the requests of that kind before it.
type Trouble = fn(&str, usize) -> Option<StatusCode>;

/// Stands in for vLLM: takes adapters whose files are there, and continues every prompt with tokens of its own.
#[derive(Clone)]
struct Vllm {
    asked: Asked,
    trouble: Trouble,
}

impl Vllm {
    fn answer(&self, kind: &'static str, body: Value) -> Response {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|(known, _)| *known == kind).count();
        asked.push((kind, body.clone()));
        drop(asked);
        if let Some(status) = (self.trouble)(kind, before) {
            return (status, [("retry-after", "0")], "no").into_response();
        }
        match kind {
            "load" => {
                let folder = Path::new(body["lora_path"].as_str().unwrap()).to_owned();
                assert!(folder.join("adapter_model.safetensors").is_file(), "{body}");
                "Success: LoRA adapter added".into_response()
            }
            "unload" => "Success: LoRA adapter removed".into_response(),
            _ => completions(&body).into_response(),
        }
    }
}

fn completions(body: &Value) -> Json<Value> {
    let choice = |at: u64| {
        json!({
            "text": "{\"product\": \"phone\"}".repeat(at as usize % 2),
            "token_ids": [5 + at, 6, 7],
            "logprobs": { "token_logprobs": [-1.0, -2.0, -0.5] },
            "finish_reason": if at == 0 { "length" } else { "stop" },
        })
    };
    let choices: Vec<Value> = (0..body["n"].as_u64().unwrap()).map(choice).collect();
    Json(json!({ "choices": choices }))
}

/// A server that lives as long as the runtime, what it was asked, and the program that draws from it.
fn serve(runtime: &Runtime, trouble: Trouble) -> (Asked, Fixture) {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let vllm = Vllm { asked: asked.clone(), trouble };
    let routes = Router::new()
        .route("/v1/load_lora_adapter", post(async |State(v): State<Vllm>, Json(body)| v.answer("load", body)))
        .route("/v1/unload_lora_adapter", post(async |State(v): State<Vllm>, Json(body)| v.answer("unload", body)))
        .route("/v1/completions", post(async |State(v): State<Vllm>, Json(body)| v.answer("complete", body)))
        .with_state(vllm);
    runtime.spawn(async { axum::serve(listener, routes).await.unwrap() });

    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let fixture = Fixture::new().unwrap().with(&[
        r#"train.objectives=["grpo"]"#,
        "grpo.steps_max=2",
        "grpo.prompts_per_step=2",
        "grpo.num_generations=4",
        "grpo.max_completion_length=16",
        r#"grpo.sampling_correction="token_truncate""#,
        &format!("rollout.server={{ url = {url:?} }}"),
        &format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]"),
    ]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    (asked, fixture)
}

fn kinds(asked: &Asked) -> Vec<&'static str> {
    asked.lock().unwrap().iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn completions_may_come_from_a_server_that_has_the_adapter_under_training() {
    let runtime = Runtime::new().unwrap();
    let (asked, fixture) = serve(&runtime, |_, _| None);
    let ended = cycle(&fixture).unwrap();

    assert_eq!(kinds(&asked), ["load", "complete", "complete", "unload", "load", "complete", "complete", "unload"]);
    let asked = asked.lock().unwrap();
    let name = |at: usize| asked[at].1["lora_name"].as_str().unwrap();
    assert_eq!(name(0), name(3));
    assert_ne!(name(0), name(4), "each generation is drawn by the adapter as it is then");
    assert_eq!(asked[1].1["model"], asked[0].1["lora_name"]);
    assert!(asked[1].1["prompt"][0].is_u64(), "the prompt goes as tokens, whatever the server's template");
    assert_ne!(asked[1].1["seed"], asked[2].1["seed"]);
    let training = &report(&fixture, &ended).unwrap()["training"];
    assert_eq!(training["length"]["first"], 3.0);
}

#[test]
fn trouble_that_passes_is_waited_for_and_what_a_killed_run_left_is_no_obstacle() {
    let runtime = Runtime::new().unwrap();
    let (asked, fixture) = serve(&runtime, |kind, before| match (kind, before) {
        // The name is loaded already: a run was killed before it could unload it.
        ("load", 0) => Some(StatusCode::BAD_REQUEST),
        ("complete", 0) => Some(StatusCode::SERVICE_UNAVAILABLE),
        ("complete", 1) => Some(StatusCode::TOO_MANY_REQUESTS),
        // It was restarted in between, and knows nothing any more.
        ("complete", 5) => Some(StatusCode::NOT_FOUND),
        ("unload", 1..) => Some(StatusCode::NOT_FOUND),
        _ => None,
    });
    cycle(&fixture).unwrap();
    let kinds = kinds(&asked);
    assert_eq!(kinds[..3], ["load", "unload", "load"]);
    let count = |wanted: &str| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!((count("load"), count("unload")), (4, 3), "{kinds:?}");
    assert!((7..=8).contains(&count("complete")), "{kinds:?}");
}

#[test]
fn what_the_server_refuses_is_not_asked_again() {
    let runtime = Runtime::new().unwrap();
    let (asked, fixture) = serve(&runtime, |kind, _| (kind == "complete").then_some(StatusCode::BAD_REQUEST));
    let said = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(said.contains("/v1/completions answers 400 Bad Request: no"), "{said}");
    let kinds = kinds(&asked);
    assert!(kinds.iter().filter(|kind| **kind == "complete").count() <= 2, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"unload"));
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let fixture = Fixture::new().unwrap().with(&[
        r#"train.objectives=["grpo"]"#,
        "grpo.max_completion_length=16",
        r#"rollout.server={ url = "http://127.0.0.1:9" }"#,
        &format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?} }}]"),
    ]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let said = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(said.contains("http://127.0.0.1:9/v1/load_lora_adapter"), "{said}");
}

//! A server with vLLM's interface draws the completions: what it is asked, and what comes of its answers.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::post};
use perennial_tests::{Fixture, repository, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, report};

/// What the server was asked, in order: the path and the body.
type Asked = Arc<Mutex<Vec<(&'static str, Value)>>>;

/// Stands in for vLLM: takes adapters whose files are there, and continues every prompt with tokens of its own.
async fn serve(listener: tokio::net::TcpListener, asked: Asked) {
    let load = async |State(asked): State<Asked>, Json(body): Json<Value>| {
        let folder = Path::new(body["lora_path"].as_str().unwrap()).to_owned();
        assert!(folder.join("adapter_model.safetensors").is_file(), "{body}");
        asked.lock().unwrap().push(("load", body));
        "Success: LoRA adapter added"
    };
    let unload = async |State(asked): State<Asked>, Json(body): Json<Value>| {
        asked.lock().unwrap().push(("unload", body));
        "Success: LoRA adapter removed"
    };
    let complete = async |State(asked): State<Asked>, Json(body): Json<Value>| {
        let choice = |at: u64| {
            json!({
                "text": "{\"product\": \"phone\"}".repeat(at as usize % 2),
                "token_ids": [5 + at, 6, 7],
                "logprobs": { "token_logprobs": [-1.0, -2.0, -0.5] },
                "finish_reason": if at == 0 { "length" } else { "stop" },
            })
        };
        let choices: Vec<Value> = (0..body["n"].as_u64().unwrap()).map(choice).collect();
        asked.lock().unwrap().push(("complete", body));
        Json(json!({ "choices": choices }))
    };
    let routes = Router::new()
        .route("/v1/load_lora_adapter", post(load))
        .route("/v1/unload_lora_adapter", post(unload))
        .route("/v1/completions", post(complete))
        .with_state(asked);
    axum::serve(listener, routes).await.unwrap();
}

#[test]
fn completions_may_come_from_a_server_that_has_the_adapter_under_training() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    runtime.spawn(serve(listener, asked.clone()));

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
    let ended = cycle(&fixture).unwrap();

    let asked = asked.lock().unwrap();
    let kinds: Vec<&str> = asked.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["load", "complete", "complete", "unload", "load", "complete", "complete", "unload"]);
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

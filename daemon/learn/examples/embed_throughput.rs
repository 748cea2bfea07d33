//! Tokens per second of embedding: `embed_throughput --model M --rows FILE.jsonl [--texts 64] [--method hidden|sif]`.
//!
//! A text is the contents of a row's messages, a line each. `tests/bench/embed.py` reads the same.

mod common;

use std::{fs, time::Instant};

use common::{Arguments, Failure};
use perennial_learn::embed::{EMBEDDED_TOKENS_MAX, Embedder, Method};
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    common::run(&["rows", "texts", "method"], measure)
}

fn measure(arguments: &Arguments) -> Result<Value, Failure> {
    let rows = fs::read_to_string(arguments.path("rows").ok_or("--rows is missing")?)?;
    let texts = rows.lines().take(arguments.number("texts", 64)?).map(text).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let model = arguments.model()?;
    let lengths = texts.iter().map(|text| Ok(model.tokenizer.encode_rendered(text)?.len().min(EMBEDDED_TOKENS_MAX)));
    let tokens: usize = lengths.sum::<Result<_, Failure>>()?;
    let method = match arguments.text("method") {
        None | Some("hidden") => Method::Hidden { layers: model.config.layers.div_ceil(2) },
        Some("sif") => Method::Sif,
        Some(other) => return Err(format!("the methods are hidden and sif, not {other}").into()),
    };
    let embedder = Embedder::new(&model, method)?;
    embedder.embed(&texts[..1])?;
    let start = Instant::now();
    embedder.embed(&texts)?;
    let rate = tokens as f64 / start.elapsed().as_secs_f64();
    Ok(json!({ "tokens_per_second": rate, "tokens": tokens }))
}

fn text(row: &str) -> Result<String, Failure> {
    let row: Value = serde_json::from_str(row)?;
    let messages = row["messages"].as_array().ok_or("a row without messages")?;
    let contents = messages.iter().map(|message| message["content"].as_str().ok_or("a message without text"));
    Ok(contents.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

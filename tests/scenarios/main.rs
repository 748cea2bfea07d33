//! What users do with the built program, and what must come of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test helper that fails is a test that fails")]

mod aborted;
mod anchor;
mod batches;
mod carried;
mod config;
mod cycle;
mod drift;
mod engine_candle;
mod evaluate;
mod export;
mod full_disk;
mod gate;
mod generate;
mod hold;
mod http;
mod http_doors;
mod http_patience;
mod inbox;
mod ingest;
mod intake;
mod lifecycle;
mod loader;
mod modes;
mod monitoring;
mod nested;
mod one_build;
mod orthogonal;
mod penalties;
mod plugin;
mod preferences;
mod publish;
mod publish_llama;
mod publish_serving;
mod reading;
mod replay;
mod requeue;
mod rewards;
mod rollout_server;
mod secrets;
mod stream;
mod string_prompts;
mod stuck;
mod support;
mod unit;

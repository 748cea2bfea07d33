//! Model files that were made to do harm, or were damaged: each ends as a named error, soon, and without more memory than a bound.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes the helpers of a test file for no tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod configurations;
mod damaged;
mod gguf_files;
mod safetensors_files;
mod tiny;
mod tokenizers;

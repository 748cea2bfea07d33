//! Perennial: a daemon that keeps a deployed language model learning from what production sees, without letting it slip
//! back, and the command line that goes with it.
//!
//! Read [`cli`] for what can be asked, [`service`] for the daemon's loop, [`cycle`] for what it does, and [`wire`] for how
//! the parts are put together.

mod answers;
mod api;
mod base_answers;
mod cli;
mod clock;
mod config;
mod cycle;
mod cycle_folder;
mod draw;
mod drift;
mod engine;
mod evaluation;
mod exports;
mod failure;
mod files;
mod http;
mod indexer;
mod intake;
mod judge;
mod lock;
mod models;
mod pin;
mod ports;
mod prune;
mod publishing;
mod quarantine;
mod questions;
mod replay;
mod request_body;
mod rewards;
mod rollout_error;
mod service;
mod set_aside;
mod stage;
mod state;
mod stored;
mod stuck;
mod telemetry;
mod told;
mod untrained;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

//! Perennial: a daemon that keeps a deployed language model learning from what production sees, without letting it slip.

mod config;
mod ports;
mod state;
mod telemetry;

fn main() {}

//! Every family beside transformers: what it computes, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy takes the helpers of a test file for no tests")]

mod common;
mod golden;
mod refused;

//! Plugins that mean harm, or are merely broken. For each: what comes of it, what the operator reads, and that the host
//! stays as it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test helper that fails is a test that fails"
)]

mod cache;
mod config;
mod files;
mod guest;
mod isolation;
mod promises;
mod runaway;
mod stubbed;
mod support;

//! What holds for the sources themselves: how modules know each other, and how long files are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test helper that fails is a test that fails"
)]

mod circles;
mod file_length;
mod imports;
mod layers;
mod monitoring;

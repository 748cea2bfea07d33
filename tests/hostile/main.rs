//! Plugins that mean harm, or are merely broken. For each: what comes of it, what the operator reads, and that the host
//! stays as it was.

mod cache;
mod config;
mod files;
mod guest;
mod isolation;
mod promises;
mod runaway;
mod stubbed;
mod support;

//! What users do with the built program, and what must come of it.

mod config;
mod cycle;
mod http;
mod inbox;
mod ingest;
mod lifecycle;
mod support;

//! The daemon with parts that do nothing but count: what is tested is the loop, HTTP and the inbox.

mod cycles;
mod fake;
mod inbox;
mod requests;
mod running;
mod stuck;

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use perennial_registry::Registry;
use perennial_types::AdapterId;
use serde_json::Value;
use tempfile::TempDir;

use self::{fake::*, running::Running};
use super::*;
use crate::{
    clock,
    config::{Config, SharedConfig},
    http,
    ports::{Cycles, Indexer, Intake, IntakeError, IntakeReport, Origin, RequeueReport, Waiting},
    publishing::Publishing,
    state::StateDir,
    telemetry::{ProgressBar, Telemetry},
};

//! The registry as the cycle uses it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod champion;
#[path = "../common/mod.rs"]
mod common;
mod cycles;
mod database;
mod samples;

use std::path::PathBuf;

use common::*;
use perennial_registry::{Product, Registry};
use perennial_types::{CycleId, SampleId};
use tempfile::TempDir;

fn open() -> (TempDir, PathBuf, Registry) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("perennial.db");
    let registry = Registry::open(&path).unwrap();
    (folder, path, registry)
}

/// A new cycle, up to the scores.
fn evaluated(registry: &Registry, weights: &str) -> CycleId {
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    record(registry, cycle, Product::Collected).unwrap();
    record(registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(registry, cycle, Product::Trained(&adapter(weights, registry.champion().unwrap()))).unwrap();
    record(registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    cycle
}

/// A whole cycle.
fn cycle(registry: &Registry, weights: &str, passed: bool, consumed: Vec<SampleId>) -> CycleId {
    let cycle = evaluated(registry, weights);
    record(registry, cycle, Product::Decided(&decision(weights, passed, consumed))).unwrap();
    if passed {
        record(registry, cycle, Product::Published).unwrap();
    }
    cycle
}

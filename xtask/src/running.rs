use std::{fs, path::Path};

use perennial_tests::Http;
use serde_json::Value;

/// The process of the daemon that answers where a state directory says: one of an earlier run, or of another terminal.
pub(crate) fn daemon(state: &Path) -> Option<u64> {
    let json = fs::read(state.join("daemon.json")).ok()?;
    let daemon: Value = serde_json::from_slice(&json).ok()?;
    let address = daemon["address"].as_str()?.parse().ok()?;
    Http::new(address).get("/live").ok()?;
    daemon["pid"].as_u64()
}

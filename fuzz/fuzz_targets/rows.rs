//! A source of rows as it comes over HTTP or in a file: plain or compressed, whole or broken.
#![no_main]

// The reader alone: the crate around it brings a database that takes an hour to build with a sanitizer.
#[allow(dead_code, unused_imports)]
#[path = "../../daemon/data/src/rows/mod.rs"]
mod rows;

use libfuzzer_sys::fuzz_target;
use rows::{Line, ReadLimits, Rows};

fn limits() -> ReadLimits {
    ReadLimits { row_bytes_max: 4096, excerpt_bytes_max: 256, bytes_max: 1 << 20, ..ReadLimits::default() }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(rows) = Rows::read("fuzz", bytes, limits()) else { return };
    let mut line_before = 0;
    for line in rows {
        let number = match line {
            Ok(Line::Row { line, .. }) => line,
            Ok(Line::Rejected(rejected)) => rejected.line,
            Ok(Line::Fault(_)) | Err(_) => break,
        };
        assert!(number > line_before, "line {number} after line {line_before}");
        line_before = number;
    }
});

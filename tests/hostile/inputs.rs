//! A few of the hostile inputs, thrown at the built program; `cargo xtask hostile` throws as many as one likes.

#![allow(clippy::unwrap_used, reason = "a test that fails")]

use std::time::Duration;

use perennial_tests::hostile::{Bounds, run};

/// As many as end within the time that a test may take.
const INPUTS: usize = 36;

#[test]
fn hostile_inputs_harm_nobody() {
    // A machine that runs other tests besides answers later than one of its own.
    let bounds = Bounds {
        answer_time_max: Duration::from_secs(5),
        memory_bytes_max: 2 << 30,
        command_time_max: Duration::from_secs(60),
    };
    let summary = run(1, 0..INPUTS, bounds, &mut |_, _| {}).unwrap();
    assert_eq!(summary.problems, [""; 0], "{summary:?}");
    assert!(summary.acknowledged > 0, "{summary:?}");
}

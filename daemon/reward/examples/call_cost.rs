//! What the sandbox costs: calls a second and microseconds a call of a trivial plugin, against the same function here.
//!
//! `cargo run --release -p perennial-reward --example call_cost [SAMPLES]`, where SAMPLES is the size of a group.

#[path = "../../../tests/hostile/guest.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the guests of the tests; this needs one of them")]
mod guest;

use std::{
    error::Error,
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};

use guest::Guest;
use perennial_reward::{Completion, Host, HostOptions, PluginOptions, Task, Ticker};
use perennial_types::{Message, Role};

const SAMPLES_DEFAULT: usize = 8;
/// About as long as an answer of 64 tokens.
const COMPLETION_BYTES: usize = 256;
const MEASURE: Duration = Duration::from_secs(2);

/// The share of bytes in each completion that are `e`.
const SCORE: &str = "(local $result i32) (local $index i32) (local $at i32) (local $end i32) (local $sum f64)
    (local.set $result (call $all (local.get $count) (f64.const 0)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
      (local.set $at (i32.load offset=8 (i32.add (local.get $samples) (i32.shl (local.get $index) (i32.const 4)))))
      (local.set $end (i32.add (local.get $at)
        (i32.load offset=12 (i32.add (local.get $samples) (i32.shl (local.get $index) (i32.const 4))))))
      (local.set $sum (f64.const 0))
      (block $read (loop $byte
        (br_if $read (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $sum (f64.add (local.get $sum)
          (f64.convert_i32_u (i32.eq (i32.load8_u (local.get $at)) (i32.const 101)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte)))
      (f64.store offset=8
        (i32.add (i32.load offset=4 (local.get $result)) (i32.mul (local.get $index) (i32.const 40)))
        (f64.div (local.get $sum) (f64.const 256)))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next)))
    (local.get $result)";

fn score_here(task: &Task) -> Vec<f64> {
    let share = |text: &str| text.bytes().filter(|byte| *byte == b'e').count() as f64 / COMPLETION_BYTES as f64;
    task.samples.iter().map(|sample| share(&sample.text)).collect()
}

fn microseconds_a_call(mut call: impl FnMut()) -> f64 {
    (0..100).for_each(|_| call());
    let (started, mut calls) = (Instant::now(), 0_u32);
    while started.elapsed() < MEASURE {
        (0..100).for_each(|_| call());
        calls += 100;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn main() -> Result<(), Box<dyn Error>> {
    let samples = std::env::args().nth(1).map(|count| count.parse()).transpose()?.unwrap_or(SAMPLES_DEFAULT);
    let text: String = "the quick brown fox jumps over the lazy dog. ".chars().cycle().take(COMPLETION_BYTES).collect();
    let completion = |index| Completion { id: format!("sample-{index}"), text: text.clone() };
    let task = Task {
        prompt: vec![Message::new(Role::User, "Say something.")],
        samples: (0..samples).map(completion).collect(),
        ..Task::default()
    };
    let host = Host::new(HostOptions::default())?;
    let _ticker = Ticker::start(&host)?;
    let guest = Guest { score: SCORE, ..Guest::default() };
    let plugin = host.load_bytes(&guest.module(), &PluginOptions::new("call-cost"))?;

    let scoring = plugin.score(&task);
    let sandboxed: Vec<_> = scoring.outcomes.iter().filter_map(|outcome| outcome.reward()).collect();
    if sandboxed != score_here(&task) {
        return Err(format!("the sandbox says {sandboxed:?}, this program {:?}", score_here(&task)).into());
    }
    let there = microseconds_a_call(|| drop(black_box(plugin.score(black_box(&task)))));
    let here = microseconds_a_call(|| drop(black_box(score_here(black_box(&task)))));
    let mut out = std::io::stdout();
    writeln!(out, "groups of {samples} completions of {COMPLETION_BYTES} bytes, fuel {} a call", scoring.cost.fuel)?;
    writeln!(out, "sandboxed   {there:8.2} µs a call   {:9.0} calls/s", 1e6 / there)?;
    writeln!(out, "in-process  {here:8.2} µs a call   {:9.0} calls/s", 1e6 / here)?;
    writeln!(out, "the sandbox {:8.2} µs a call", there - here)?;
    Ok(())
}

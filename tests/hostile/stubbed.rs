//! Guests that ask the system for time and chance, and get stand-ins that are the same for every call.

use perennial_reward::{FaultKind, LogLevel, Plugin, PluginOptions, Wasi};

use crate::{
    guest::{Guest, INTERFACE},
    support::{fault, host, options, refusal, task},
};

/// The published interface, with a world that also imports a little of WASI.
fn interface() -> String {
    let world = INTERFACE.replace(
        "  import log;",
        "  import log;
           import wasi:random/random@0.2.6;
           import wasi:clocks/wall-clock@0.2.6;
           import wasi:clocks/monotonic-clock@0.2.6;
           import wasi:cli/stdout@0.2.6;
           import wasi:cli/exit@0.2.6;
           import wasi:filesystem/preopens@0.2.6;
           import wasi:filesystem/types@0.2.6;",
    );
    format!(
        "{world}
        package wasi:random@0.2.6 {{ interface random {{ get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }} }}
        package wasi:clocks@0.2.6 {{
          interface wall-clock {{ record datetime {{ seconds: u64, nanoseconds: u32 }} now: func() -> datetime; }}
          interface monotonic-clock {{ now: func() -> u64; }}
        }}
        package wasi:io@0.2.6 {{
          interface error {{ resource error {{ to-debug-string: func() -> string; }} }}
          interface streams {{
            use error.{{error}};
            variant stream-error {{ last-operation-failed(error), closed }}
            resource output-stream {{ blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }}
          }}
        }}
        package wasi:cli@0.2.6 {{
          interface stdout {{ use wasi:io/streams@0.2.6.{{output-stream}}; get-stdout: func() -> output-stream; }}
          interface exit {{ exit: func(status: result); }}
        }}
        package wasi:filesystem@0.2.6 {{
          interface types {{ resource descriptor {{ sync: func() -> bool; }} open: func() -> descriptor; }}
          interface preopens {{ use types.{{descriptor}}; get-directories: func() -> list<tuple<descriptor, string>>; }}
        }}"
    )
}

const IMPORTS: &str = r#"
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
  (import "wasi:random/random@0.2.6" "get-random-bytes" (func $random_bytes (param i64 i32)))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $now (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $ticks (result i64)))
  (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[resource-drop]output-stream" (func $drop_stream (param i32)))
  (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
  (import "wasi:filesystem/types@0.2.6" "open" (func $open (result i32)))"#;

/// Calls everything, so that nothing of the imports is dropped, but only after the result is sure.
fn component(score: &str) -> Vec<u8> {
    let unused = "(func $unused
        (drop (call $random)) (call $random_bytes (i64.const 1) (i32.const 8)) (call $now (i32.const 8)) (drop (call $ticks))
        (drop (call $stdout)) (call $exit (i32.const 0)) (call $drop_stream (i32.const 0))
        (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8))
        (call $directories (i32.const 8)) (drop (call $open)))
        (data (i32.const 8192) \"hello\\nworld\")";
    Guest { imports: IMPORTS, items: unused, score, max: 1e18, interface: interface(), ..Guest::default() }.component()
}

fn stubbed(score: &str) -> Plugin {
    host().load_bytes(&component(score), &PluginOptions { wasi: Wasi::Stubbed, ..options() }).unwrap()
}

fn reward(score: &str) -> f64 {
    let plugin = stubbed(score);
    let first = plugin.score(&task(2));
    for _ in 0..3 {
        let again = plugin.score(&task(2));
        assert_eq!((&again.outcomes, again.cost.fuel), (&first.outcomes, first.cost.fuel));
    }
    first.outcomes[1].reward().unwrap_or_else(|| panic!("{first:?}"))
}

#[test]
fn without_leave_the_first_import_is_named_with_what_to_do() {
    let line = refusal(&component("(i32.const 0)"));
    assert!(line.contains("which plugins do not get") && line.contains("or set wasi = \"stubbed\""), "{line}");
}

#[test]
fn chance_is_the_same_in_every_call() {
    let random = "(f64.convert_i64_u (i64.shr_u (call $random) (i64.const 8)))";
    let first = reward(&format!("(call $all (local.get $count) {random})"));
    let second = reward(&format!("(drop (call $random)) (call $all (local.get $count) {random})"));
    assert!(first > 0.0 && second > 0.0 && first != second);
}

#[test]
fn the_clock_shows_the_same_in_every_call() {
    let wall =
        "(call $now (i32.const 9000)) (call $all (local.get $count) (f64.convert_i64_u (i64.load (i32.const 9000))))";
    assert_eq!(reward(wall), 946_684_800.0);
    let ticks = "(drop (call $ticks)) (call $all (local.get $count) (f64.convert_i64_u (call $ticks)))";
    assert_eq!(reward(ticks), 2000.0);
}

#[test]
fn what_is_printed_goes_to_the_log() {
    let score = "(local $stream i32)
        (local.set $stream (call $stdout))
        (call $write (local.get $stream) (i32.const 8192) (i32.const 11) (i32.const 9000))
        (call $drop_stream (local.get $stream))
        (call $all (local.get $count) (f64.const 1))";
    let scored = stubbed(score).score(&task(1));
    assert_eq!(scored.outcomes[0].reward(), Some(1.0), "{scored:?}");
    let lines: Vec<_> = scored.log.iter().map(|line| (line.level, &line.message[..])).collect();
    assert_eq!(lines, [(LogLevel::Info, "hello"), (LogLevel::Info, "world")]);
}

#[test]
fn there_is_no_folder_and_no_file() {
    let count = "(call $directories (i32.const 9000))
        (call $all (local.get $count) (f64.convert_i32_u (i32.load (i32.const 9004))))";
    assert_eq!(reward(count), 0.0);
    let scored = stubbed("(drop (call $open)) (unreachable)").score(&task(1));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("it called wasi:filesystem/types#open, and there is no such thing"), "{fault}");
}

#[test]
fn too_much_chance_and_an_early_exit_are_faults() {
    let much =
        stubbed("(call $random_bytes (i64.const 0x7fffffffffff) (i32.const 9000)) (unreachable)").score(&task(1));
    assert!(fault(&much).message.contains("it asked for 140737488355327 random bytes at once"), "{much:?}");
    let exit = stubbed("(call $exit (i32.const 0)) (unreachable)").score(&task(1));
    assert!(fault(&exit).message.contains("it ended itself by exit"), "{exit:?}");
}

//! Guests that take more than they were given.

use std::time::{Duration, Instant};

use perennial_reward::{
    FaultKind, Host, HostOptions, LogLevel, Member, Outcome, Panel, PluginOptions, TIME_OUT_RETRIES_MAX, Ticker,
};

use crate::{
    guest::Guest,
    support::{fault, host, load, options, resident_bytes, scoring, task},
};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";

#[test]
fn an_infinite_loop_runs_out_of_fuel() {
    let plugin = scoring(FOREVER);
    let scored = plugin.score(&task(3));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::OutOfFuel);
    assert_eq!(
        fault.message,
        "plugin suspect: out of fuel after 2000000 units for each of 3 samples: it loops or is too slow; raise its \
         fuel_per_sample, or mend it"
    );
    assert_eq!(scored.cost.fuel, 6_000_000);
    assert_eq!(plugin.score(&task(3)).outcomes, scored.outcomes);
}

#[test]
fn a_loop_with_endless_fuel_meets_the_deadline() {
    let host = host();
    let ticker = Ticker::start(&host).unwrap();
    let endless =
        PluginOptions { fuel_per_sample: Some(u64::MAX), deadline: Some(Duration::from_millis(50)), ..options() };
    let guest = Guest { score: FOREVER, ..Guest::default() };
    let plugin = host.load_bytes(&guest.module(), &endless).unwrap();
    let started = Instant::now();
    let outcomes = plugin.score(&task(2)).outcomes;
    assert!(started.elapsed() < Duration::from_secs(5));
    let expected = Outcome::TimedOut(
        "plugin suspect: stopped after 0.050 s by the clock: it waits or is too slow for this machine; raise its \
         deadline_seconds, or mend it"
            .to_owned(),
    );
    assert_eq!(outcomes, [expected.clone(), expected]);
    drop(ticker);
}

#[test]
fn a_call_that_meets_the_deadline_is_made_again_and_its_time_out_is_kept() {
    let host = host();
    let ticker = Ticker::start(&host).unwrap();
    let deadline = Duration::from_millis(50);
    let endless = PluginOptions { fuel_per_sample: Some(u64::MAX), deadline: Some(deadline), ..options() };
    let guest = Guest { score: FOREVER, ..Guest::default() };
    let mut panel = Panel { members: vec![Member::new(host.load_bytes(&guest.module(), &endless).unwrap(), 1.0)] };
    let verdict = panel.score(&task(2));
    assert_eq!(verdict.rewards, [None, None]);
    assert!(verdict.per_member[0].cost.took >= deadline * (1 + TIME_OUT_RETRIES_MAX as u32));
    let (member, message) = verdict.time_outs().next().unwrap();
    assert!(member == 0 && message.contains("raise its deadline_seconds"), "{message}");

    // A generation that is drawn again: the call is not made, and comes to the same.
    panel.members[0].timed_out = Some(message.to_owned());
    let again = panel.score(&task(2));
    assert_eq!(again.per_member[0].outcomes, verdict.per_member[0].outcomes);
    assert_eq!(again.per_member[0].cost.took, Duration::ZERO);
    drop(ticker);
}

#[test]
fn a_memory_bomb_is_refused_its_memory_and_leaves_none_behind() {
    let bomb = "(loop $more
        (drop (memory.grow (i32.const 16)))
        (memory.fill (i32.mul (i32.sub (memory.size) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
        (br $more))
        (unreachable)";
    let plugin = host()
        .load_bytes(
            &Guest { score: bomb, ..Guest::default() }.module(),
            &PluginOptions { fuel_per_sample: Some(u64::MAX), ..options() },
        )
        .unwrap();
    let before = resident_bytes();
    for _ in 0..20 {
        let scored = plugin.score(&task(1));
        let fault = fault(&scored);
        assert_eq!(fault.kind, FaultKind::OutOfMemory);
        assert!(fault.message.contains("67108864 are allowed; raise its memory_bytes_max, or mend it"), "{fault}");
        assert!(scored.cost.memory_bytes_peak <= 64 << 20);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes are still held");
}

#[test]
fn a_memory_that_starts_too_large_is_refused_at_load() {
    let guest = Guest { items: "(table 10000000 funcref)", ..Guest::default() };
    let line = crate::support::refusal(&guest.module());
    assert!(line.contains("table"), "{line}");
    let small = PluginOptions { memory_bytes_max: Some(65_536), ..options() };
    let line = crate::support::refusal_with(&Guest::default().module(), &small);
    assert!(line.contains("131072 bytes of memory were asked for, 65536 are allowed"), "{line}");
}

#[test]
fn a_table_bomb_is_refused_its_table() {
    let guest = Guest {
        items: "(table $t 1 funcref)",
        score: "(loop $more (drop (table.grow $t (ref.null func) (i32.const 50000))) (br $more)) (unreachable)",
        ..Guest::default()
    };
    let scored = load(&guest).score(&task(1));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::OutOfMemory);
    assert!(fault.message.contains("raise table_elements_max"), "{fault}");
}

#[test]
fn deep_recursion_meets_the_end_of_the_stack() {
    let guest = Guest {
        items: "(func $down (param i64) (result i64)
            (i64.add (call $down (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
        score: "(drop (call $down (i64.const 0))) (unreachable)",
        ..Guest::default()
    };
    let scored = load(&guest).score(&task(2));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::Stack);
    assert_eq!(
        fault.message,
        "plugin suspect: its calls nest too deeply in down < down < down: the stack of 524288 bytes is used up; raise \
         stack_bytes_max, or mend it"
    );
}

#[test]
fn a_stack_that_no_thread_has_is_refused() {
    let error = Host::new(HostOptions { stack_bytes_max: 2 << 20, ..HostOptions::default() }).err().unwrap();
    assert_eq!(error.to_string(), "stack_bytes_max is 2097152: it must be 1048576 at most");
    // The most that is allowed ends as a fault on a thread of the usual size.
    let host = Host::new(HostOptions { stack_bytes_max: 1 << 20, ..HostOptions::default() }).unwrap();
    let guest = Guest {
        items: "(func $down (param i64) (result i64)
            (i64.add (call $down (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
        score: "(drop (call $down (i64.const 0))) (unreachable)",
        ..Guest::default()
    };
    let plugin = host.load_bytes(&guest.module(), &options()).unwrap();
    let scored = std::thread::spawn(move || plugin.score(&task(1))).join().unwrap();
    assert_eq!(fault(&scored).kind, FaultKind::Stack);
}

#[test]
fn a_trap_is_a_fault_that_says_where() {
    let guest =
        Guest { items: "(func $parse (unreachable))", score: "(call $parse) (i32.const 0)", ..Guest::default() };
    let scored = load(&guest).score(&task(1));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.starts_with("plugin suspect: trapped in parse: wasm `unreachable`"), "{fault}");
}

#[test]
fn a_huge_return_is_cut_off_before_it_is_copied() {
    let beyond = scoring("(call $ok (i32.const 0) (i32.const 0x7fffffff))").score(&task(1));
    assert_eq!(fault(&beyond).kind, FaultKind::Contract, "{beyond:?}");

    // 32 MiB of one letter as the reason to abstain.
    let inside = "(local $at i32) (local $text i32)
        (local.set $text (call $alloc (i32.const 0x2000000)))
        (memory.fill (local.get $text) (i32.const 97) (i32.const 0x2000000))
        (local.set $at (call $alloc (i32.const 40)))
        (i32.store8 (local.get $at) (i32.const 1))
        (i32.store offset=8 (local.get $at) (local.get $text))
        (i32.store offset=12 (local.get $at) (i32.const 0x2000000))
        (call $ok (local.get $at) (i32.const 1))";
    let guest = Guest { score: inside, ..Guest::default() };
    let plenty = PluginOptions { fuel_per_sample: Some(u64::MAX), ..options() };
    let scored = host().load_bytes(&guest.module(), &plenty).unwrap().score(&task(1));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::Transfer);
    assert_eq!(
        fault.message,
        "plugin suspect: it hands more than 4194304 bytes to the host at once; raise transfer_bytes_max, or mend it"
    );
}

#[test]
fn a_log_flood_is_capped_counted_and_escaped() {
    let guest = Guest {
        items: r#"(data (i32.const 8192) "line\n\1b[31mred\e2\80\ae")"#,
        score: "(local $left i32)
            (local.set $left (i32.const 10000))
            (loop $more
              (call $emit (i32.const 2) (i32.const 8192) (i32.const 16))
              (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (call $all (local.get $count) (f64.const 1))",
        ..Guest::default()
    };
    let scored = load(&guest).score(&task(1));
    assert_eq!(scored.outcomes[0].reward(), Some(1.0));
    assert_eq!((scored.log.len(), scored.log_lines_dropped), (32, 9_968));
    assert_eq!(scored.log[0].level, LogLevel::Warn);
    assert_eq!(scored.log[0].message, "line\\n\\u{1b}[31mred\\u{202e}");
}

#[test]
fn one_huge_log_line_is_a_fault_not_an_allocation() {
    let score = "(drop (memory.grow (i32.const 200)))
        (call $emit (i32.const 0) (i32.const 0) (i32.const 0x800000)) (unreachable)";
    let scored = scoring(score).score(&task(1));
    assert_eq!(fault(&scored).kind, FaultKind::Transfer);
}

#[test]
fn long_log_lines_are_cut() {
    let score = "(memory.fill (i32.const 70000) (i32.const 97) (i32.const 5000))
        (call $emit (i32.const 1) (i32.const 70000) (i32.const 5000))
        (call $all (local.get $count) (f64.const 1))";
    let scored = scoring(score).score(&task(1));
    assert_eq!(scored.log[0].message, format!("{}…", "a".repeat(512)));
}

#[test]
fn a_pool_that_does_not_fit_is_done_without() {
    let host = Host::new(HostOptions { concurrent_calls_max: 1_000_000, ..HostOptions::default() }).unwrap();
    let plugin = host.load_bytes(&Guest::default().module(), &options()).unwrap();
    assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(0.5));
}

#[test]
fn a_profile_shows_where_the_time_goes() {
    let host = host();
    let ticker = Ticker::start(&host).unwrap();
    let guest = Guest {
        items: "(func $hot (loop $again (br $again)))",
        score: "(call $hot) (unreachable)",
        ..Guest::default()
    };
    let slow = PluginOptions { fuel_per_sample: Some(50_000_000), ..options() };
    let plugin = host.load_bytes(&guest.module(), &slow).unwrap();
    let profile = plugin.profile(&task(1), Duration::from_millis(200)).unwrap();
    assert!(profile.calls > 0 && profile.looks > 0, "{} calls, {} looks", profile.calls, profile.looks);
    assert!(String::from_utf8(profile.json).unwrap().contains("\"hot\""));
    drop(ticker);
}

#[test]
fn a_host_goes_on_after_every_kind_of_failure() {
    let host = Host::new(HostOptions { fuel_per_sample: 2_000_000, concurrent_calls_max: 1, ..HostOptions::default() })
        .unwrap();
    let good = host.load_bytes(&Guest::default().module(), &options()).unwrap();
    let bad = ["(unreachable)", FOREVER, "(call $ok (i32.const -8) (i32.const 9))"];
    for score in bad {
        let guest = Guest { score, ..Guest::default() };
        let plugin = host.load_bytes(&guest.module(), &options()).unwrap();
        for _ in 0..3 {
            fault(&plugin.score(&task(2)));
            assert_eq!(good.score(&task(1)).outcomes[0].reward(), Some(0.5));
        }
    }
}

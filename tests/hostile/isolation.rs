//! Guests that would remember, guess or tell apart what must stay the same.

use std::num::NonZeroUsize;

use perennial_reward::{Completion, Host, HostOptions, Member, Outcome, Panel, Task, pool};

use crate::{
    guest::Guest,
    support::{NAME, load, options, scoring, task},
};

/// Rewards its n-th call with n, by a global and by memory.
const COUNTS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 60000) (i32.add (i32.load (i32.const 60000)) (i32.const 1)))
    (call $all (local.get $count) (f64.convert_i32_u (i32.add (global.get $calls) (i32.load (i32.const 60000)))))";

fn counter() -> Guest<'static> {
    Guest { items: "(global $calls (mut i32) (i32.const 0))", score: COUNTS, max: 1000.0, ..Guest::default() }
}

#[test]
fn nothing_of_one_call_is_seen_by_another() {
    let plugin = load(&counter());
    for _ in 0..50 {
        assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(2.0));
    }
}

#[test]
fn memory_that_was_grown_and_written_is_clean_again() {
    // Grows by 1 MiB and rewards with what it finds there, before writing there.
    let plugin = scoring(
        "(local $at i32) (local $found f64)
         (local.set $at (i32.mul (memory.grow (i32.const 16)) (i32.const 65536)))
         (local.set $found (f64.convert_i32_u (i32.load8_u (i32.add (local.get $at) (i32.const 1000000)))))
         (memory.fill (local.get $at) (i32.const 1) (i32.const 0x100000))
         (call $all (local.get $count) (local.get $found))",
    );
    for _ in 0..20 {
        assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(0.0));
    }
}

#[test]
fn the_bits_of_nan_tell_nothing() {
    // Rewards with how many bits are set in NaNs made in different ways: all must be the one canonical NaN.
    let plugin = load(&Guest {
        max: 10_000.0,
        score: "(local $bits i64)
            (local.set $bits (i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0))))
            (local.set $bits (i64.or (local.get $bits) (i64.reinterpret_f64 (f64.sub (f64.const inf) (f64.const inf)))))
            (local.set $bits (i64.or (local.get $bits) (i64.reinterpret_f64 (f64.sqrt (f64.const -1)))))
            (local.set $bits (i64.or (local.get $bits)
              (i64.reinterpret_f64 (f64.add (f64.const nan:0x123) (f64.const 1)))))
            (call $all (local.get $count) (f64.convert_i64_u (i64.popcnt (local.get $bits))))",
        ..Guest::default()
    });
    let canonical = 0x7ff8_0000_0000_0000_u64.count_ones();
    assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(f64::from(canonical)));
}

/// Rewards each sample with the first byte of its completion, and logs once a call.
const READS: &str = "(local $result i32) (local $index i32)
    (call $emit (i32.const 1) (local.get $config) (local.get $config_length))
    (local.set $result (call $all (local.get $count) (f64.const 0)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
      (f64.store offset=8
        (i32.add (i32.load offset=4 (local.get $result)) (i32.mul (local.get $index) (i32.const 40)))
        (f64.convert_i32_u (i32.load8_u (i32.load offset=8
          (i32.add (local.get $samples) (i32.mul (local.get $index) (i32.const 16)))))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next)))
    (local.get $result)";

fn group(index: usize) -> Task {
    let letters = ["alpha", "beta", "gamma", "delta"];
    let sample = |at: usize| Completion { id: format!("{index}-{at}"), text: letters[(index + at) % 4].to_owned() };
    Task { samples: (0..4).map(sample).collect(), ..Task::default() }
}

#[test]
fn calls_in_any_order_on_any_number_of_threads_agree() {
    let host = Host::new(HostOptions { concurrent_calls_max: 2, ..HostOptions::default() }).unwrap();
    let guest = Guest { score: READS, max: 255.0, ..Guest::default() };
    let plugin = host.load_bytes(&guest.module(), &options()).unwrap();
    let panel = Panel { members: vec![Member::new(plugin, 1.0)] };
    let alone: Vec<_> = (0..40).map(|index| panel.score(&group(index))).collect();
    assert_eq!(alone[1].rewards, ["beta", "gamma", "delta", "alpha"].map(|text| Some(f64::from(text.as_bytes()[0]))));

    for threads in [1, 4] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let ((), judged) = pool(threads, |pool| {
            (0..40).map(|index| index * 7 % 40).for_each(|index| pool.submit(index, &panel, group(index)));
        });
        let judged = judged.unwrap();
        assert_eq!(judged.iter().map(|judged| judged.index).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        for (judged, alone) in judged.iter().zip(&alone) {
            assert_eq!(judged.verdict.rewards, alone.rewards);
            let (here, there) = (&judged.verdict.per_member[0], &alone.per_member[0]);
            assert_eq!((&here.outcomes, &here.log), (&there.outcomes, &there.log));
            assert_eq!(here.cost.fuel, there.cost.fuel);
            assert_eq!(here.cost.memory_bytes_peak, there.cost.memory_bytes_peak);
        }
    }
}

#[test]
fn rewards_are_summed_by_weight_over_those_who_scored() {
    let member = |score, weight| {
        let guest = Guest { score, ..Guest::default() };
        Member::new(load(&guest), weight)
    };
    let half = || member("(call $all (local.get $count) (f64.const 0.5))", 2.0);
    let full = || member("(call $all (local.get $count) (f64.const 1))", -0.25);
    let fails = || member("(unreachable)", 10.0);
    let rewards = |members| Panel { members }.score(&task(2)).rewards;
    assert_eq!(rewards(vec![half(), full()]), [Some(0.75), Some(0.75)]);
    assert_eq!(rewards(vec![half(), fails()]), [Some(1.0), Some(1.0)]);
    assert_eq!(rewards(vec![fails()]), [None, None]);
    // A weight of zero measures: it neither adds to the sum nor makes one.
    let measures = || member("(call $all (local.get $count) (f64.const 1))", 0.0);
    assert_eq!(rewards(vec![half(), measures()]), [Some(1.0), Some(1.0)]);
    assert_eq!(rewards(vec![fails(), measures()]), [None, None]);
    assert_eq!(rewards(vec![]), [None, None]);
}

#[test]
fn too_many_faults_name_plugin_outcome_and_sample() {
    use perennial_reward::{OutcomeKind, Statistics, check_fault_ratio};

    let plugin = load(&Guest { score: READS, max: 100.0, ..Guest::default() });
    let panel = Panel { members: vec![Member::new(plugin, 1.0)] };
    let (tasks, mut statistics) = ([group(0), group(1)], Statistics::default());
    let verdicts: Vec<_> = tasks.iter().map(|task| panel.score(task)).collect();
    verdicts.iter().for_each(|verdict| statistics.add(&panel, verdict));
    let groups: Vec<_> = tasks.iter().zip(&verdicts).collect();
    // Of alpha, beta, gamma and delta, only gamma is beyond d = 100: one in four.
    check_fault_ratio(&panel, &groups, 0.25).unwrap();
    let error = check_fault_ratio(&panel, &groups, 0.2).unwrap_err();
    assert_eq!((error.failed, error.samples, error.outcome), (2, 8, OutcomeKind::Faulted));
    assert_eq!(
        error.to_string(),
        "plugin suspect gave no answer for 2 of 8 samples, more than the share of 0.2 that max_fault_ratio allows, so \
         nothing is learned from this batch; the first was sample 0-2, faulted: plugin suspect: broke the contract: it gave \
         103 as reward, outside its declared range of 0 to 100; its author has to mend it"
    );

    let suspect = &statistics.plugins[NAME];
    assert_eq!((suspect.count(OutcomeKind::Scored), suspect.count(OutcomeKind::Faulted)), (6, 2));
    assert_eq!((suspect.samples(), suspect.calls), (8, 2));
    assert_eq!((suspect.reward.count, suspect.reward.min, suspect.reward.max), (6, 97.0, 100.0));
    assert!(suspect.first_failure.as_ref().unwrap().contains("103 as reward"));
}

#[test]
fn an_abstention_is_neither_zero_nor_a_fault() {
    let abstains = scoring(
        "(local $at i32)
         (local.set $at (call $alloc (i32.const 40)))
         (i32.store8 (local.get $at) (i32.const 1))
         (call $ok (local.get $at) (i32.const 1))",
    );
    let panel = Panel { members: vec![Member::new(abstains, 1.0)] };
    let (task, verdict) = (task(1), panel.score(&task(1)));
    assert_eq!(verdict.per_member[0].outcomes, [Outcome::Abstained(String::new())]);
    assert_eq!(verdict.rewards, [None]);
    perennial_reward::check_fault_ratio(&panel, &[(&task, &verdict)], 0.0).unwrap();
}

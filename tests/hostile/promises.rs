//! Guests whose answers are not what they promised.

use perennial_reward::{FaultKind, Outcome, Plugin};

use crate::{
    guest::Guest,
    support::{fault, load, refusal, scoring, task},
};

/// A plugin that gives sample 0 the constant, and every other one a half.
fn first_gets(constant: &str) -> Plugin {
    scoring(&format!(
        "(local $result i32)
         (local.set $result (call $all (local.get $count) (f64.const 0.5)))
         (call $one (i32.load offset=4 (local.get $result)) (f64.const {constant}))
         (local.get $result)"
    ))
}

#[test]
fn what_is_no_number_or_out_of_range_faults_that_sample_alone() {
    let gave = |constant: &str| {
        let outcomes = first_gets(constant).score(&task(3)).outcomes;
        assert_eq!(outcomes[1].reward(), Some(0.5));
        assert_eq!(outcomes[2].reward(), Some(0.5));
        let Outcome::Faulted(fault) = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(fault.kind, FaultKind::Contract);
        fault.message.clone()
    };
    assert_eq!(
        gave("nan"),
        "plugin suspect: broke the contract: it gave NaN as reward, which is no number to learn from; its author has to \
         mend it"
    );
    assert!(gave("inf").contains("it gave inf as reward"));
    assert!(gave("-inf").contains("it gave -inf as reward"));
    assert!(gave("1.0000001").contains("it gave 1.0000001 as reward, outside its declared range of 0 to 1"));
    assert!(gave("-1e300").contains("outside its declared range"));
    assert_eq!(first_gets("0").score(&task(1)).outcomes[0].reward(), Some(0.0));
    assert_eq!(first_gets("1").score(&task(1)).outcomes[0].reward(), Some(1.0));
}

#[test]
fn a_wrong_count_faults_the_whole_group() {
    for (score, verdicts) in [
        ("(call $all (i32.const 0) (f64.const 1))", 0),
        ("(call $all (i32.add (local.get $count) (i32.const 1)) (f64.const 1))", 4),
    ] {
        let scored = scoring(score).score(&task(3));
        let fault = fault(&scored);
        assert_eq!(fault.kind, FaultKind::Contract);
        assert!(fault.message.contains(&format!("it gave {verdicts} verdicts for 3 samples")), "{fault}");
    }
}

#[test]
fn an_empty_group_is_answered_with_nothing() {
    assert!(scoring("(call $all (local.get $count) (f64.const 1))").score(&task(0)).outcomes.is_empty());
}

#[test]
fn text_that_is_not_utf8_cannot_be_read() {
    let guest = Guest {
        items: r#"(data (i32.const 8192) "\ff\fe\80")"#,
        score: "(local $at i32)
            (local.set $at (call $alloc (i32.const 40)))
            (i32.store8 (local.get $at) (i32.const 1))
            (i32.store offset=8 (local.get $at) (i32.const 8192))
            (i32.store offset=12 (local.get $at) (i32.const 3))
            (call $ok (local.get $at) (i32.const 1))",
        ..Guest::default()
    };
    let scored = load(&guest).score(&task(1));
    let fault = fault(&scored);
    assert_eq!(fault.kind, FaultKind::Contract);
    assert!(fault.message.contains("what it returned cannot be read: invalid utf-8"), "{fault}");
}

#[test]
fn a_verdict_that_is_neither_score_nor_abstention_cannot_be_read() {
    let score = "(local $result i32)
        (local.set $result (call $all (local.get $count) (f64.const 0.5)))
        (i32.store8 (i32.load offset=4 (local.get $result)) (i32.const 7))
        (local.get $result)";
    let scored = scoring(score).score(&task(1));
    assert_eq!(fault(&scored).kind, FaultKind::Contract, "{scored:?}");
}

/// A guest that declares `a` in 0 to 1, and names these two parts with these values in its one verdict.
fn naming(parts: [(&str, &str); 2]) -> String {
    let [(one, first), (two, second)] = parts;
    let items = format!(r#"(data (i32.const 8192) "{one}") (data (i32.const 8200) "{two}")"#);
    let score = format!(
        "(local $result i32) (local $verdict i32)
         (local.set $result (call $all (local.get $count) (f64.const 0.5)))
         (local.set $verdict (i32.load offset=4 (local.get $result)))
         (i32.store offset=16 (local.get $verdict) (i32.const 9000))
         (i32.store offset=20 (local.get $verdict) (i32.const 2))
         (i32.store (i32.const 9000) (i32.const 8192)) (i32.store (i32.const 9004) (i32.const {}))
         (f64.store (i32.const 9008) (f64.const {first}))
         (i32.store (i32.const 9016) (i32.const 8200)) (i32.store (i32.const 9020) (i32.const {}))
         (f64.store (i32.const 9024) (f64.const {second}))
         (local.get $result)",
        one.len(),
        two.len(),
    );
    let parts = [("a", 0.0, 1.0), ("b", 0.0, 2.0)];
    let guest = Guest { items: &items, score: &score, parts: &parts, ..Guest::default() };
    match &load(&guest).score(&task(1)).outcomes[0] {
        Outcome::Scored(score) => format!("{:?}", score.parts),
        Outcome::Faulted(fault) => fault.message.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_must_be_those_of_the_descriptor() {
    assert_eq!(naming([("a", "1"), ("b", "2")]), r#"[("a", 1.0), ("b", 2.0)]"#);
    assert!(naming([("a", "1"), ("c", "0")]).contains(r#"it named part "c", which its descriptor does not declare"#));
    assert!(naming([("a", "1"), ("a", "1")]).contains(r#"it named part "a" twice in one score"#));
    assert!(naming([("a", "1.5"), ("b", "0")]).contains(r#"it gave 1.5 as part "a", outside its declared range"#));
    assert!(naming([("a", "nan"), ("b", "0")]).contains(r#"it gave NaN as part "a""#));
}

#[test]
fn a_reason_has_its_limit() {
    let score = "(local $result i32) (local $verdict i32)
        (local.set $result (call $all (local.get $count) (f64.const 0.5)))
        (local.set $verdict (i32.load offset=4 (local.get $result)))
        (memory.fill (i32.const 70000) (i32.const 97) (i32.const 600))
        (i32.store8 offset=24 (local.get $verdict) (i32.const 1))
        (i32.store offset=28 (local.get $verdict) (i32.const 70000))
        (i32.store offset=32 (local.get $verdict) (i32.const 600))
        (local.get $result)";
    let long = scoring(score).score(&task(1));
    assert!(fault(&long).message.contains("it gave a reason of 600 bytes, more than 512"));
    let fitting = scoring(&score.replace("600", "512")).score(&task(1));
    assert_eq!(fitting.outcomes[0].message().map(str::len), Some(512));
}

#[test]
fn a_fault_of_its_own_is_told_in_its_words_on_one_line() {
    for (tag, kind, words) in [
        (0, FaultKind::BadConfig, "refuses its configuration: no\\nkey; correct its configuration"),
        (1, FaultKind::BadInput, "cannot read the task: no\\nkey; give it the rows that it is made for"),
        (2, FaultKind::Internal, "failed: no\\nkey; its author has to look at it"),
    ] {
        let guest = Guest {
            items: r#"(data (i32.const 8192) "no\nkey")"#,
            score: &format!(
                "(i32.store8 (i32.const 9000) (i32.const 1)) (i32.store8 (i32.const 9004) (i32.const {tag}))
                 (i32.store (i32.const 9008) (i32.const 8192)) (i32.store (i32.const 9012) (i32.const 6))
                 (i32.const 9000)"
            ),
            ..Guest::default()
        };
        let scored = load(&guest).score(&task(2));
        let fault = fault(&scored);
        assert_eq!((fault.kind, &fault.message[..]), (kind, &format!("plugin suspect: {words}")[..]));
    }
}

#[test]
fn a_descriptor_that_contradicts_itself_is_refused() {
    let told = |guest: Guest| refusal(&guest.module());
    let twice = [("a", 0.0, 1.0), ("a", 0.0, 1.0)];
    let many: Vec<String> = (0..33).map(|index| format!("part-{index}")).collect();
    let many: Vec<_> = many.iter().map(|name| (&name[..], 0.0, 1.0)).collect();
    let cases = [
        (Guest { min: 1.0, max: 0.0, ..Guest::default() }, "the range of the reward is 1 to 0"),
        (Guest { min: f64::NAN, ..Guest::default() }, "the range of the reward is NaN to 1"),
        (Guest { max: f64::INFINITY, ..Guest::default() }, "the range of the reward is 0 to inf"),
        (Guest { parts: &[("a", 2.0, 1.0)], ..Guest::default() }, "the range of part \"a\" is 2 to 1"),
        (Guest { parts: &twice, ..Guest::default() }, "it declares part \"a\" twice"),
        (Guest { parts: &many, ..Guest::default() }, "it declares 33 parts, more than 32"),
        (Guest { parts: &[("A b", 0.0, 1.0)], ..Guest::default() }, "the name of a part is \"A b\""),
        (Guest { name: "", ..Guest::default() }, "name is \"\""),
        (Guest { name: "a\"} 1\nfake_metric{x=\"", ..Guest::default() }, "name is \"a\\\"} 1\\nfake_metric"),
        (Guest { version: "latest", ..Guest::default() }, "its version is \"latest\", not MAJOR.MINOR.PATCH"),
        (Guest { schema: "{", ..Guest::default() }, "config-schema is not JSON"),
        (Guest { schema: "[]", ..Guest::default() }, "config-schema is JSON, but no schema"),
        (Guest { schema: r#"{"type": "strnig"}"#, ..Guest::default() }, "config-schema is no JSON schema"),
    ];
    for (guest, problem) in cases {
        let line = told(guest);
        assert!(line.contains(problem) && line.ends_with("its author has to mend it"), "{line}");
    }
}

#[test]
fn what_could_differ_between_machines_is_not_compiled() {
    for (items, named) in [
        ("(memory $more 1)", "multiple memories"),
        ("(table i64 1 funcref)", "memory64"),
        (
            "(func (param v128) (result v128)
            (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))",
            "relaxed SIMD",
        ),
        ("(func (result i32) (i32.atomic.load (i32.const 0)))", "threads"),
    ] {
        let line = refusal(&Guest { items, ..Guest::default() }.module());
        assert!(line.to_lowercase().contains(&named.to_lowercase()), "{named}: {line}");
    }
}

#[test]
fn a_describe_that_fails_is_refused() {
    for (describe, problem) in [
        ("(unreachable)", "describe failed: trapped"),
        ("(loop $again (br $again))", "describe failed: out of fuel"),
        ("(return (i32.const -16))", "describe failed"),
    ] {
        let line = refusal(&Guest { describe, ..Guest::default() }.module());
        assert!(line.contains(problem), "{line}");
    }
}

//! Logits of every family against those of transformers (see tests/goldens/README.md): all tokens at once, one by one, and in parts.

use crate::common::{Case, Golden};
use perennial_families::{Decoder, claims, model_types};

const RELATIVE_ERROR_MAX: f32 = 1e-4;

#[track_caller]
fn assert_close(case: &Case, how: &str, position: usize, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{}", case.name);
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |most, value| most.max(value.abs()));
    let difference = largest(&mut got.iter().zip(expected).map(|(got, expected)| got - expected));
    let error = difference / largest(&mut expected.iter().copied());
    assert!(error < RELATIVE_ERROR_MAX, "{}, {how}, position {position}: off by {error:e}", case.name);
}

/// The logits behind each of the kept tokens, taken in so many at once.
fn check(case: &Case, golden: &Golden, decoder: &mut Decoder, how: &str, parts: impl Fn(usize) -> usize) {
    for (&kept, expected) in golden.kept.iter().zip(&case.logits) {
        decoder.restart();
        let (mut left, mut logits) = (&golden.tokens[..=kept], Vec::new());
        while !left.is_empty() {
            let (now, later) = left.split_at(parts(left.len()).min(left.len()));
            logits = decoder.logits(now).unwrap_or_else(|error| panic!("{}, {how}: {error}", case.name));
            left = later;
        }
        assert_close(case, how, kept, &logits, expected);
    }
}

fn check_one_by_one(case: &Case, golden: &Golden, decoder: &mut Decoder) {
    decoder.restart();
    for (at, &token) in golden.tokens.iter().enumerate() {
        let logits = decoder.logits(&[token]).unwrap();
        if let Some(kept) = golden.kept.iter().position(|kept| *kept == at) {
            assert_close(case, "one by one", at, &logits, &case.logits[kept]);
        }
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let golden = Golden::read();
    let mut failed = Vec::new();
    for case in &golden.cases {
        let checked = std::panic::catch_unwind(|| {
            let mut decoder = case.load().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            check(case, &golden, &mut decoder, "at once", |left| left);
            check_one_by_one(case, &golden, &mut decoder);
            check(case, &golden, &mut decoder, "in parts", |_| 5);
        });
        failed.extend(checked.is_err().then_some(&case.name));
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn every_family_has_a_case() {
    let golden = Golden::read();
    for family in model_types() {
        assert!(golden.cases.iter().any(|case| case.config["model_type"] == family), "{family}");
        assert!(claims(family));
    }
    assert!(!claims("llama"));
}

#[test]
fn the_table_of_models_names_each_family() {
    let table = include_str!("../../../../docs/models.md");
    let (_, table) = table.split_once("--engine candle").unwrap();
    let cell = |line: &str| Some(line.strip_prefix("| ")?.split_once("| `")?.1.split_once('`')?.0.to_owned());
    let documented: Vec<String> = table.lines().filter_map(cell).filter(|cell| cell != "model_type").collect();
    assert_eq!(documented, model_types().collect::<Vec<_>>());
}

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

use perennial_types::{Domain, Row, Sample, SampleId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::replay::ReplayRow;

fn sample(n: u32) -> Sample {
    let domain = if n.is_multiple_of(4) { "rare" } else { "common" };
    let line =
        json!({"prompt": format!("p{n}"), "completion": "c", "domain": domain, "note": n, "half": 0.1 + f64::from(n)});
    Sample::from_row(Row::from_value(line).unwrap(), &Domain::default(), "a.jsonl", i64::from(n))
}

fn samples(count: u32) -> BTreeMap<SampleId, Sample> {
    (0..count).map(sample).map(|sample| (sample.id, sample)).collect()
}

fn new(ns: std::ops::Range<u32>) -> Vec<NewSample> {
    ns.map(sample).map(|sample| NewSample { id: sample.id, arrived_ms: sample.arrived_ms }).collect()
}

fn candidates(ns: std::ops::Range<u32>) -> Vec<ReplayRow> {
    ns.map(sample).map(|sample| ReplayRow::new(sample.id, sample.domain, sample.arrived_ms, "s")).collect()
}

fn planned() -> MixPlan {
    plan(&MixConfig { seed: 7, ..MixConfig::default() }, &new(100..140), &candidates(0..100))
}

fn frozen(folder: &Path) -> Manifest {
    let extra = Map::from_iter([("base_model".to_owned(), json!("abc"))]);
    freeze(folder, &planned(), &samples(140), &Apart::default(), extra).unwrap()
}

#[test]
fn replay_is_its_share_of_the_mix() {
    let count = |fraction, new_count: u32, candidate_count: u32| {
        let config = MixConfig { replay_fraction: fraction, ..MixConfig::default() };
        let plan = plan(&config, &new(1000..1000 + new_count), &candidates(0..candidate_count));
        (plan.ids(Origin::New).len(), plan.ids(Origin::Replay).len())
    };
    assert_eq!(count(0.2, 40, 100), (40, 10));
    assert_eq!(count(0.5, 40, 100), (40, 40));
    assert_eq!(count(0.2, 40, 3), (40, 3));
    assert_eq!(count(0.0, 40, 100), (40, 0));
    assert_eq!(count(0.2, 0, 100), (0, 0));
    assert_eq!(count(1.0, 2, 5), (2, 5));
}

#[test]
fn oldest_new_samples_go_first() {
    let config = MixConfig { samples_max: 5, ..MixConfig::default() };
    let chosen = plan(&config, &new(10..90), &[]).ids(Origin::New);
    assert_eq!(chosen, new(10..15).into_iter().map(|sample| sample.id).collect());
}

#[test]
fn what_was_frozen_reads_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let written = frozen(folder.path());
    let (manifest, rows) = read_mix(folder.path()).unwrap();
    assert_eq!(manifest, written);
    assert_eq!((manifest.samples, manifest.new, manifest.replay), (50, 40, 10));
    assert_eq!(manifest.domains.values().map(|counts| counts.new + counts.replay).sum::<u64>(), 50);
    assert_eq!(manifest.domains[&Domain::new("rare").unwrap()].new, 10);
    assert_eq!(manifest.extra["base_model"], "abc");
    let order: Vec<(SampleId, Origin)> = rows.iter().map(|row| (row.sample.id, row.origin)).collect();
    assert_eq!(order, planned().order);
    assert!(rows.iter().all(|row| samples(140)[&row.sample.id] == row.sample));
    assert!(order.iter().take(25).any(|(_, origin)| *origin == Origin::Replay), "replay is not among the new");
}

#[test]
fn freezing_again_gives_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    frozen(one.path());
    let bytes = |folder: &Path| [MIX_FILE, MANIFEST_FILE].map(|name| fs::read(folder.join(name)).unwrap());
    let first = bytes(one.path());
    frozen(one.path());
    frozen(other.path());
    assert_eq!(bytes(one.path()), first);
    assert_eq!(bytes(other.path()), first);
}

#[test]
fn fingerprint_is_of_what_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let freeze = |samples: &BTreeMap<SampleId, Sample>, plan: &MixPlan| {
        freeze(folder.path(), plan, samples, &Apart::default(), Map::new()).unwrap().fingerprint
    };
    let before = freeze(&samples(140), &planned());
    let mut elsewhere = samples(140);
    for sample in elsewhere.values_mut() {
        sample.source = "other".into();
        sample.arrived_ms += 1;
    }
    assert_eq!(freeze(&elsewhere, &planned()), before);
    let mut referenced = samples(140);
    referenced.get_mut(&planned().order[0].0).unwrap().reference = Some(String::new());
    assert_ne!(freeze(&referenced, &planned()), before);
    let mut reordered = planned();
    reordered.order.swap(0, 1);
    assert_ne!(freeze(&samples(140), &reordered), before);
}

#[test]
fn nothing_held_out_is_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let first = planned().order[3].0;
    let apart = Apart { samples: HashSet::from([first]), ..Apart::default() };
    let error = freeze(folder.path(), &planned(), &samples(140), &apart, Map::new()).unwrap_err();
    assert!(matches!(error, MixError::HeldOut { count: 1, first: id } if id == first), "{error}");
    let twin = Row::parse(r#"{"prompt": " P120 ", "completion": "another answer"}"#).unwrap();
    let apart = Apart { questions: BTreeSet::from([twin.body.question_fingerprint()]), ..Apart::default() };
    let error = freeze(folder.path(), &planned(), &samples(140), &apart, Map::new()).unwrap_err();
    let asks_the_same = sample(120).id;
    assert!(matches!(error, MixError::HeldOut { count: 1, first: id } if id == asks_the_same), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_inputs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let freeze = |plan: &MixPlan, count, extra: &[(&str, Value)]| {
        let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        freeze(folder.path(), plan, &samples(count), &Apart::default(), extra).unwrap_err()
    };
    assert!(matches!(freeze(&planned(), 120, &[]), MixError::Missing(_)));
    let mut twice = planned();
    twice.order.push(twice.order[0]);
    assert!(matches!(freeze(&twice, 140, &[]), MixError::Twice(_)));
    let reserved = freeze(&planned(), 140, &[("fine", json!(1)), ("seed", json!(1))]);
    assert!(matches!(reserved, MixError::ReservedField(name) if name == "seed"));
}

#[test]
fn changed_files_are_told() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    frozen(folder.path());
    let mut plan = planned();
    plan.order.swap(0, 1);
    freeze(other.path(), &plan, &samples(140), &Apart::default(), Map::new()).unwrap();
    fs::copy(other.path().join(MIX_FILE), folder.path().join(MIX_FILE)).unwrap();
    assert!(matches!(read_mix(folder.path()), Err(MixError::Fingerprint { .. })));
    fs::write(folder.path().join(MANIFEST_FILE), "{}").unwrap();
    assert!(read_mix(folder.path()).unwrap_err().to_string().contains("manifest.json"));
}

proptest! {
    #[test]
    fn plan_holds_no_sample_twice_and_ignores_the_order_of_its_inputs(
        new_count in 0_u32..40, candidate_count in 0_u32..60, overlap in 0_u32..10, samples_max in 0_usize..50,
        replay_fraction in 0.0_f64..0.9, seed: u64,
    ) {
        let config = MixConfig { samples_max, replay_fraction, seed, ..MixConfig::default() };
        let (mut new, mut candidates) = (new(50..50 + new_count), candidates(50 + overlap - candidate_count.min(50)..50 + overlap));
        let one = plan(&config, &new, &candidates);
        new.reverse();
        new.extend_from_within(..);
        candidates.reverse();
        prop_assert_eq!(&plan(&config, &new, &candidates), &one);
        let ids: BTreeSet<SampleId> = one.order.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids.len(), one.order.len());
        let fresh = one.ids(Origin::New);
        prop_assert!(fresh.len() <= samples_max);
        let wanted = (replay_fraction / (1.0 - replay_fraction) * fresh.len() as f64).round() as usize;
        prop_assert_eq!(one.replay_wanted, wanted);
        prop_assert!(one.ids(Origin::Replay).len() <= wanted);
    }
}

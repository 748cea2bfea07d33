use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

use perennial_types::{Domain, Row, Sample, SampleId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::replay::{ReplayRow, Signals};

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
    ns.map(sample).map(|sample| NewSample { id: sample.id, arrived_ms: sample.arrived_ms, tokens: Some(10) }).collect()
}

fn candidates(ns: std::ops::Range<u32>) -> Vec<ReplayRow> {
    ns.map(sample)
        .map(|sample| ReplayRow::new(sample.id, sample.domain, sample.arrived_ms, "s"))
        .map(|row| ReplayRow { tokens: Some(10), ..row })
        .collect()
}

fn plan(config: &MixConfig, new: &[NewSample], candidates: &[ReplayRow], base_answers: &[ReplayRow]) -> MixPlan {
    Draft::new(config.clone(), new, candidates.to_vec()).plan(base_answers, Signals::default())
}

fn planned() -> MixPlan {
    plan(&MixConfig { seed: 7, ..MixConfig::default() }, &new(100..140), &candidates(0..100), &[])
}

fn frozen(folder: &Path) -> Manifest {
    let extra = Map::from_iter([("base_model".to_owned(), json!("abc"))]);
    freeze(folder, &planned(), &samples(140), &Apart::default(), extra).unwrap()
}

#[test]
fn replay_is_its_share_of_the_mix() {
    let count = |fraction, new_count: u32, candidate_count: u32| {
        let config = MixConfig { replay_fraction: fraction, ..MixConfig::default() };
        let plan = plan(&config, &new(1000..1000 + new_count), &candidates(0..candidate_count), &[]);
        (plan.ids(Origin::New).len(), plan.ids(Origin::Replay).len())
    };
    assert_eq!(count(0.2, 40, 100), (40, 10));
    assert_eq!(count(0.5, 40, 100), (40, 40));
    assert_eq!(count(0.2, 40, 3), (40, 3));
    assert_eq!(count(0.0, 40, 100), (40, 0));
    assert_eq!(count(0.2, 0, 100), (0, 0));
    assert_eq!(count(0.99, 2, 5), (2, 5));
}

#[test]
fn replay_is_a_share_of_tokens() {
    let lengths = |tokens: Option<u32>| -> Vec<ReplayRow> {
        candidates(0..100).into_iter().map(|row| ReplayRow { tokens, ..row }).collect()
    };
    let config = MixConfig { replay_fraction: 0.5, ..MixConfig::default() };
    let drawn = |config: &MixConfig, tokens| {
        let plan = plan(config, &new(1000..1040), &lengths(tokens), &[]);
        (plan.ids(Origin::Replay).len(), plan.replay_tokens())
    };
    assert_eq!([Some(4), Some(10), Some(100)].map(|tokens| drawn(&config, tokens)), [(100, 400), (40, 400), (4, 400)]);
    // What was never counted is as long as the others; training cuts what is too long.
    assert_eq!(drawn(&config, None), (40, 400));
    assert_eq!(drawn(&MixConfig { row_tokens_max: 20, ..config }, Some(100)), (20, 400));
}

#[test]
fn answers_of_the_base_are_their_share_of_the_mix_and_of_no_other_part() {
    let folder = tempfile::tempdir().unwrap();
    let config = MixConfig { replay_fraction: 0.2, base_answer_fraction: 0.1, ..MixConfig::default() };
    let with = |answers: std::ops::Range<u32>| plan(&config, &new(100..135), &candidates(0..100), &candidates(answers));
    let planned = with(110..300);
    let counts = Origin::ALL.map(|origin| planned.ids(origin).len());
    assert_eq!(counts, [35, 10, 5]);
    // One that is new, or replayed, is none besides; of the others, those that come first.
    let answers: BTreeSet<SampleId> = candidates(135..140).into_iter().map(|row| row.id).collect();
    assert_eq!(planned.ids(Origin::BaseAnswer), answers);
    // Where there is none, what is replayed has its share of the others.
    assert_eq!(with(110..113).ids(Origin::BaseAnswer).len(), 0);
    assert_eq!([with(110..113), with(0..0)].map(|plan| plan.replay_tokens_wanted), [100, 88]);
    let draft = Draft::new(config.clone(), &new(100..135), candidates(0..100));
    assert!((draft.base_answer_tokens() - 50.0).abs() < 1e-9);
    let manifest = freeze(folder.path(), &planned, &samples(300), &Apart::default(), Map::new()).unwrap();
    assert_eq!((manifest.new, manifest.replay, manifest.base_answers, manifest.samples), (35, 10, 5, 50));
    let (_, rows) = read_mix(folder.path()).unwrap();
    let read: Vec<(SampleId, Origin)> = rows.iter().map(|row| (row.sample.id, row.origin)).collect();
    assert_eq!(read, planned.order);
}

#[test]
fn what_is_scored_is_a_few_times_what_is_replayed_and_of_fallen_domains_first() {
    let rare = Domain::new("rare").unwrap();
    let config = MixConfig { replay_fraction: 0.5, fallen: BTreeSet::from([rare.clone()]), ..MixConfig::default() };
    let all = candidates(0..100);
    let list = |times| Draft::new(config.clone(), &new(100..110), all.clone()).shortlist(times);
    let of_rare = |ids: &[SampleId]| all.iter().filter(|row| row.domain == rare && ids.contains(&row.id)).count();
    let list = [1.0, 3.0, 100.0].map(list);
    assert_eq!(list.each_ref().map(Vec::len), [10, 30, 100]);
    assert!(of_rare(&list[1]) >= 15 && list.iter().all(|ids| ids.is_sorted()), "{}", of_rare(&list[1]));
}

#[test]
fn what_an_older_program_called_answers_of_the_base_is_still_read() {
    assert_eq!(
        ["anchor", "base_answer", "old"].map(Origin::named),
        [Some(Origin::BaseAnswer), Some(Origin::BaseAnswer), None]
    );
    let folder = tempfile::tempdir().unwrap();
    let config = MixConfig { base_answer_fraction: 0.1, ..MixConfig::default() };
    let planned = plan(&config, &new(100..135), &[], &candidates(0..10));
    let manifest = freeze(folder.path(), &planned, &samples(140), &Apart::default(), Map::new()).unwrap();
    let path = folder.path().join(MANIFEST_FILE);
    let older = fs::read_to_string(&path).unwrap().replace("base_answers", "anchor");
    fs::write(&path, older).unwrap();
    assert_eq!(read_manifest(folder.path()).unwrap(), manifest);
}

#[test]
fn a_replayed_sample_is_there_as_often_as_it_may_be_and_a_new_one_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = MixConfig { replay_fraction: 0.5, repeats_max: 3, ..MixConfig::default() };
    let plan = plan(&config, &new(100..140), &candidates(0..10), &[]);
    assert_eq!((plan.order.len(), plan.ids(Origin::Replay).len()), (70, 10));
    assert_eq!((plan.replay_tokens(), plan.replay_tokens_wanted, plan.is_short), (300, 400, true));
    assert!(!planned().is_short);
    let freeze = |plan: &MixPlan| freeze(folder.path(), plan, &samples(140), &Apart::default(), Map::new());
    let manifest = freeze(&plan).unwrap();
    assert_eq!((manifest.samples, manifest.new, manifest.replay, manifest.replay_tokens), (70, 40, 30, 300));
    assert!(matches!(freeze(&MixPlan { repeats_max: 2, ..plan.clone() }), Err(MixError::Twice(_))));
    let (mut twice, again) = (plan.clone(), *plan.ids(Origin::New).first().unwrap());
    twice.order.push((again, Origin::Replay));
    assert!(matches!(freeze(&twice), Err(MixError::Twice(id)) if id == again));
}

#[test]
fn what_is_taken_out_of_a_plan_is_in_no_count_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = planned();
    let taken = *plan.ids(Origin::Replay).first().unwrap();
    plan.order.retain(|(id, _)| *id != taken);
    let manifest = freeze(folder.path(), &plan, &samples(140), &Apart::default(), Map::new()).unwrap();
    assert_eq!((planned().replay_tokens(), manifest.replay, manifest.replay_tokens), (100, 9, 90));
}

#[test]
fn oldest_new_samples_go_first() {
    let config = MixConfig { samples_max: 5, ..MixConfig::default() };
    let chosen = plan(&config, &new(10..90), &[], &[]).ids(Origin::New);
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
        let one = plan(&config, &new, &candidates, &[]);
        new.reverse();
        new.extend_from_within(..);
        candidates.reverse();
        prop_assert_eq!(&plan(&config, &new, &candidates, &[]), &one);
        let ids: BTreeSet<SampleId> = one.order.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids.len(), one.order.len());
        let fresh = one.ids(Origin::New);
        prop_assert!(fresh.len() <= samples_max);
        let wanted = replay_fraction / (1.0 - replay_fraction) * 10.0 * fresh.len() as f64;
        prop_assert_eq!(one.replay_tokens_wanted, wanted.round() as u64);
        prop_assert!(one.replay_tokens() as f64 <= wanted + 5.0);
        prop_assert_eq!(one.replay_tokens(), 10 * one.ids(Origin::Replay).len() as u64);
    }
}

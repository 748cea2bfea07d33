use std::collections::BTreeMap;

use perennial_registry::{NewAdapter, NewCycle, NewDecision, NewSample, NewSegment, Product, Registry, RegistryError};
use perennial_types::{AdapterId, CycleId, Domain, Fingerprint, Kind, SampleId};
use serde_json::{Value, json};

pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint::of(text.as_bytes())
}

pub(crate) fn id(number: u64) -> SampleId {
    SampleId(fingerprint(&format!("sample {number}")))
}

pub(crate) fn sample(number: u64, held_out: bool) -> NewSample {
    let arrived_ms = i64::try_from(number).unwrap();
    let question = fingerprint(&format!("question {number}"));
    NewSample { id: id(number), domain: Domain::default(), kind: Kind::Messages, question, held_out, arrived_ms }
}

pub(crate) fn add(registry: &Registry, name: &str, samples: &[NewSample]) -> Result<(), RegistryError> {
    let (path, rows) = (format!("segments/{name}.parquet"), samples.len() as u64);
    let segment = NewSegment { path, fingerprint: fingerprint(name), rows, bytes: 10, created_ms: 0 };
    registry.add_segment(&segment, samples)
}

pub(crate) fn new_cycle() -> NewCycle {
    NewCycle { reason: "test".to_owned(), config: json!({"rank": 8}), seed: u64::MAX }
}

pub(crate) fn suites() -> BTreeMap<String, Fingerprint> {
    BTreeMap::from([("general".to_owned(), fingerprint("general"))])
}

pub(crate) fn adapter(weights: &str, parent: Option<AdapterId>) -> NewAdapter {
    NewAdapter {
        files: fingerprint(weights),
        parent,
        base: fingerprint("base"),
        mix: fingerprint("mix"),
        config: json!({}),
        seed: 1,
        code_version: "0".to_owned(),
    }
}

pub(crate) fn decision(weights: &str, passed: bool, learned: Vec<SampleId>) -> NewDecision {
    NewDecision {
        passed,
        files: fingerprint(weights),
        base: fingerprint("base"),
        mix: fingerprint("mix"),
        suites: suites(),
        reasons: json!([]),
        learned,
        set_aside: BTreeMap::new(),
        pins: false,
    }
}

pub(crate) fn record(registry: &Registry, cycle: CycleId, product: Product<'_>) -> Result<(), RegistryError> {
    registry.record_phase(cycle, product, &Value::Null, 0)
}

pub(crate) fn adapter_id(weights: &str) -> AdapterId {
    AdapterId::of(&fingerprint(weights))
}

//! Random sequences of operations, most of them out of turn: the properties hold after each, and a reopened database
//! says the same as the one that was closed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeMap;

use common::*;
use perennial_registry::{Adapter, Cycle, Product, Promotion, Registry, SetAsideRecord};
use perennial_types::{AdapterId, CycleId, Kind, SampleId};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Operation {
    Add { from: u64, count: u64, held_out: bool },
    Begin,
    Record { phase: usize, passed: bool, weights: u8, consume: usize },
    Next { passed: bool, weights: u8 },
    CallOff { fail: bool },
    Force { weights: u8 },
    RollBack,
    Requeue { cycle: u64 },
    Index { count: usize },
    Attempt { progress: u8 },
    Trouble,
    Abort,
    SetAside { from: u64, count: u64 },
    TakeBack { from: u64, count: u64 },
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        2 => (0..30_u64, 1..5_u64, any::<bool>()).prop_map(|(from, count, held_out)| Add { from, count, held_out }),
        3 => Just(Begin),
        2 => (0..6_usize, any::<bool>(), 0..4_u8, 0..3_usize)
            .prop_map(|(phase, passed, weights, consume)| Record { phase, passed, weights, consume }),
        12 => (prop::bool::weighted(0.7), 0..4_u8).prop_map(|(passed, weights)| Next { passed, weights }),
        1 => any::<bool>().prop_map(|fail| CallOff { fail }),
        1 => (0..4_u8).prop_map(|weights| Force { weights }),
        2 => Just(RollBack),
        1 => (1..4_u64).prop_map(|cycle| Requeue { cycle }),
        1 => (0..5_usize).prop_map(|count| Index { count }),
        2 => (0..2_u8).prop_map(|progress| Attempt { progress }),
        1 => Just(Trouble),
        1 => Just(Abort),
        1 => (0..30_u64, 1..5_u64).prop_map(|(from, count)| SetAside { from, count }),
        1 => (0..30_u64, 1..5_u64).prop_map(|(from, count)| TakeBack { from, count }),
        1 => Just(Reopen),
    ]
}

/// All that can be asked of a registry.
#[derive(Debug, PartialEq)]
struct State {
    champion: Option<AdapterId>,
    cycles: Vec<Cycle>,
    adapters: Vec<Adapter>,
    promotions: Vec<Promotion>,
    fresh: Vec<SampleId>,
    replayable: Vec<SampleId>,
    unindexed: u64,
    set_aside: Vec<SetAsideRecord>,
    totals: (u64, u64, u64),
}

impl State {
    fn of(registry: &Registry) -> Self {
        let ids =
            |records: Vec<perennial_registry::SampleRecord>| records.into_iter().map(|record| record.id).collect();
        Self {
            champion: registry.champion().unwrap(),
            cycles: registry.cycles(1000).unwrap(),
            adapters: registry.adapters().unwrap(),
            promotions: registry.promotions().unwrap(),
            fresh: ids(registry.fresh_samples(&Kind::ALL, None, 1000).unwrap()),
            replayable: ids(registry.replayable().unwrap()),
            unindexed: registry.unindexed_count().unwrap(),
            set_aside: registry.set_aside_samples(None, 1000).unwrap(),
            totals: registry.segment_totals().unwrap(),
        }
    }
}

/// Records a phase with what would belong to it; whether that is allowed is the registry's to say.
fn record_some(registry: &Registry, cycle: CycleId, phase: usize, passed: bool, weights: u8, consume: usize) -> bool {
    let weights = format!("weights {weights}");
    let champion = registry.champion().unwrap();
    let fresh = registry.fresh_samples(&[Kind::Messages], None, consume).unwrap();
    let consumed = fresh.into_iter().map(|record| record.id).collect();
    let result = match phase {
        0 => record(registry, cycle, Product::Collected),
        1 => record(registry, cycle, Product::Mixed { mix: fingerprint("mix") }),
        2 => record(registry, cycle, Product::Trained(&adapter(&weights, champion))),
        3 => record(registry, cycle, Product::Evaluated { suites: &suites() }),
        4 => record(registry, cycle, Product::Decided(&decision(&weights, passed, consumed))),
        _ => record(registry, cycle, Product::Published),
    };
    result.is_ok()
}

/// Whether the operation did anything.
fn apply(registry: &Registry, operation: &Operation, segment: usize) -> bool {
    let open = registry.open_cycle().unwrap();
    match *operation {
        Operation::Add { from, count, held_out } => {
            let samples: Vec<_> = (from..from + count).map(|number| sample(number, held_out)).collect();
            add(registry, &segment.to_string(), &samples).is_ok()
        }
        Operation::Begin => registry.begin_cycle(&new_cycle(), 0).is_ok(),
        Operation::Record { phase, passed, weights, consume } => {
            let cycle = open.map_or(CycleId(1), |cycle| cycle.id);
            record_some(registry, cycle, phase, passed, weights, consume)
        }
        Operation::Next { passed, weights } => open.is_some_and(|cycle| {
            let phase = cycle.next_phase().unwrap() as usize;
            let trained = (0..4).find(|weights| cycle.candidate == Some(adapter_id(&format!("weights {weights}"))));
            record_some(registry, cycle.id, phase, passed, trained.unwrap_or(weights), 2)
        }),
        Operation::CallOff { fail: true } => {
            open.is_some_and(|cycle| registry.fail_cycle(cycle.id, "f", "", 0).is_ok())
        }
        Operation::CallOff { fail: false } => open.is_some_and(|cycle| registry.abort_cycle(cycle.id, "a", 0).is_ok()),
        Operation::Force { weights } => {
            registry.force_promote(&adapter_id(&format!("weights {weights}")), "why", 0).is_ok()
        }
        Operation::RollBack => registry.roll_back(None, 0).is_ok(),
        Operation::Requeue { cycle } => registry.requeue(CycleId(cycle)).is_ok_and(|requeued| requeued > 0),
        Operation::Index { count } => {
            let ids: Vec<_> = registry.unindexed(count).unwrap().into_iter().map(|record| record.id).collect();
            !ids.is_empty() && registry.mark_indexed(&ids).is_ok()
        }
        Operation::Attempt { progress } => {
            open.is_some_and(|cycle| registry.begin_attempt(cycle.id, &progress.to_string()).is_ok())
        }
        Operation::Trouble => open.is_some_and(|cycle| registry.record_trouble(cycle.id, "full", 1).is_ok()),
        Operation::Abort => open.is_some_and(|cycle| registry.request_abort(cycle.id, "asked").is_ok()),
        Operation::SetAside { from, count } => {
            let open = open.map(|cycle| cycle.id);
            let samples: BTreeMap<_, _> = (from..from + count).map(|number| (id(number), "empty".to_owned())).collect();
            registry.set_aside(&samples, open, 1).is_ok_and(|added| added > 0)
        }
        Operation::TakeBack { from, count } => {
            let ids: Vec<_> = (from..from + count).map(id).collect();
            registry.take_back(&ids).is_ok_and(|taken| taken > 0)
        }
        Operation::Reopen => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn properties_hold_and_refusals_change_nothing(operations in prop::collection::vec(operation(), 10..60)) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("perennial.db");
        let mut registry = Registry::open(&path).unwrap();
        for (number, operation) in operations.iter().enumerate() {
            let before = State::of(&registry);
            if matches!(operation, Operation::Reopen) {
                drop(registry);
                registry = Registry::open(&path).unwrap();
            }
            if !apply(&registry, operation, number) {
                prop_assert_eq!(&State::of(&registry), &before, "{:?}", operation);
            }
            registry.check().unwrap();
        }
    }
}

//! The phases of a cycle and its decision.

use perennial_registry::{AdapterState, CycleOutcome, Hold, HoldAnswer, NewDecision, Phase, Product, RegistryError};
use serde_json::json;

use crate::{common::*, cycle, evaluated, open};

#[test]
fn phases_are_recorded_once_and_in_order() {
    let (_folder, _, registry) = open();
    let cycle = registry.begin_cycle(&new_cycle(), 5).unwrap();
    assert!(
        matches!(registry.begin_cycle(&new_cycle(), 5).unwrap_err(), RegistryError::CycleOpen(open) if open == cycle)
    );
    let error = record(&registry, cycle, Product::Published).unwrap_err();
    assert_eq!(error.to_string(), "cycle 000001: published cannot be recorded, the next phase is collected");
    registry.record_phase(cycle, Product::Collected, &json!({"new": 3}), 6).unwrap();
    assert!(record(&registry, cycle, Product::Collected).is_err());
    let known = registry.open_cycle().unwrap().unwrap();
    assert_eq!((known.phase(), known.next_phase()), (Some(Phase::Collected), Some(Phase::Mixed)));
    assert_eq!((known.detail(Phase::Collected), known.seed), (Some(&json!({"new": 3})), u64::MAX));
    registry.fail_cycle(cycle, "disk full", "make room", 7).unwrap();
    assert!(matches!(registry.fail_cycle(cycle, "again", "", 8).unwrap_err(), RegistryError::CycleClosed(_)));
    let known = registry.cycle(cycle).unwrap().unwrap();
    assert_eq!(
        known.outcome,
        Some(CycleOutcome::Failed { reason: "disk full".to_owned(), remedy: "make room".to_owned() })
    );
    assert_eq!((known.next_phase(), registry.open_cycle().unwrap()), (None, None));
}

#[test]
fn a_decision_on_other_fingerprints_is_refused() {
    let (_folder, _, registry) = open();
    let cycle = evaluated(&registry, "w");
    let right = decision("w", true, vec![]);
    let other = fingerprint("other");
    let wrong = [
        NewDecision { files: other, ..right.clone() },
        NewDecision { base: other, ..right.clone() },
        NewDecision { mix: other, ..right.clone() },
        NewDecision { suites: [("general".to_owned(), other)].into(), ..right.clone() },
    ];
    for decision in wrong {
        let error = record(&registry, cycle, Product::Decided(&decision)).unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    }
    assert_eq!(registry.champion().unwrap(), None);
    record(&registry, cycle, Product::Decided(&right)).unwrap();
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("w")));
    assert!(matches!(registry.abort_cycle(cycle, "late", 0).unwrap_err(), RegistryError::AlreadyPromoted(_)));
}

#[test]
fn a_candidate_waits_once_it_was_evaluated_and_a_word_is_given_once() {
    let (_folder, _, registry) = open();
    let unready = registry.begin_cycle(&new_cycle(), 1).unwrap();
    assert!(matches!(registry.hold(unready, 2).unwrap_err(), RegistryError::NothingHeld(_)));
    registry.fail_cycle(unready, "disk full", "", 3).unwrap();
    let cycle = evaluated(&registry, "w");
    let no = HoldAnswer { approves: false, reason: "too blunt".to_owned(), at_ms: 9 };
    assert!(matches!(registry.answer_hold(cycle, &no).unwrap_err(), RegistryError::NothingHeld(_)));
    assert_eq!(registry.hold_of(cycle).unwrap(), None);
    let hold = Hold { cycle, at_ms: 5, answer: None };
    assert_eq!(registry.hold(cycle, 5).unwrap(), hold);
    assert_eq!(registry.hold(cycle, 7).unwrap(), hold, "it has waited since the first time");
    registry.answer_hold(cycle, &no).unwrap();
    let yes = HoldAnswer { approves: true, ..no.clone() };
    assert!(registry.answer_hold(cycle, &yes).is_err(), "the first word counts");
    assert_eq!(registry.hold_of(cycle).unwrap(), Some(Hold { answer: Some(no), ..hold }));
}

#[test]
fn a_champion_changed_under_a_cycle_voids_its_decision() {
    let (_folder, _, registry) = open();
    cycle(&registry, "first", true, vec![]);
    let second = evaluated(&registry, "second");
    registry.roll_back(None, 0).unwrap();
    let error = record(&registry, second, Product::Decided(&decision("second", true, vec![]))).unwrap_err();
    assert!(matches!(error, RegistryError::ChampionChanged { .. }));
    registry.abort_cycle(second, "void", 0).unwrap();
    assert_eq!(registry.adapter(&adapter_id("second")).unwrap().unwrap().state, AdapterState::Rejected);
    registry.check().unwrap();
}

//! Changes of the champion.

use perennial_registry::{AdapterState, PromotionReason, RegistryError};

use crate::{common::*, cycle, open};

#[test]
fn rolling_back_walks_the_line_down_to_the_base_model() {
    let (_folder, _, registry) = open();
    for weights in ["a", "b", "c"] {
        cycle(&registry, weights, true, vec![]);
    }
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("b")));
    cycle(&registry, "d", true, vec![]);
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("b")));
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("a")));
    assert_eq!(registry.roll_back(None, 0).unwrap(), None);
    assert!(matches!(registry.roll_back(None, 0).unwrap_err(), RegistryError::NothingToRollBack));
    assert!(registry.adapters().unwrap().iter().all(|adapter| adapter.state == AdapterState::Retired));
    registry.check().unwrap();
}

#[test]
fn rolling_back_to_a_named_champion_drops_all_after_it() {
    let (_folder, _, registry) = open();
    for weights in ["a", "b", "c"] {
        cycle(&registry, weights, true, vec![]);
    }
    let (a, b, c) = (adapter_id("a"), adapter_id("b"), adapter_id("c"));
    for never in [&c, &adapter_id("x")] {
        let error = registry.roll_back(Some(never), 0).unwrap_err();
        assert!(matches!(error, RegistryError::NotAnEarlierChampion(_)));
    }
    registry.force_promote(&a, "again", 0).unwrap();
    assert_eq!(registry.roll_back(Some(&b), 0).unwrap(), Some(b));
    assert_eq!(registry.roll_back(Some(&a), 0).unwrap(), Some(a));
    assert_eq!(registry.roll_back(None, 0).unwrap(), None);
    registry.check().unwrap();
}

#[test]
fn a_forced_promotion_is_recorded_as_one() {
    let (_folder, _, registry) = open();
    cycle(&registry, "bad", false, vec![]);
    let bad = adapter_id("bad");
    assert!(matches!(
        registry.force_promote(&adapter_id("x"), "why", 0).unwrap_err(),
        RegistryError::UnknownAdapter(_)
    ));
    registry.force_promote(&bad, "why", 9).unwrap();
    assert!(matches!(registry.force_promote(&bad, "why", 9).unwrap_err(), RegistryError::AlreadyChampion(_)));
    let adapter = registry.adapter(&bad).unwrap().unwrap();
    assert!(adapter.forced && adapter.state == AdapterState::Champion);
    assert!(!adapter.lineage.gate.unwrap().passed);
    let promotion = &registry.promotions().unwrap()[0];
    assert_eq!((promotion.reason, promotion.note.as_deref()), (PromotionReason::Forced, Some("why")));
    registry.check().unwrap();
}

#[test]
fn the_same_bytes_may_come_out_of_two_cycles() {
    let (_folder, _, registry) = open();
    cycle(&registry, "w", false, vec![]);
    let second = cycle(&registry, "w", true, vec![]);
    let adapter = registry.adapter(&adapter_id("w")).unwrap().unwrap();
    assert_eq!((adapter.state, adapter.lineage.cycle), (AdapterState::Champion, second));
    cycle(&registry, "w", true, vec![]);
    assert_eq!(registry.promotions().unwrap().len(), 1, "the champion did not change");
    cycle(&registry, "w", false, vec![]);
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("w")));
    registry.check().unwrap();
}

//! The database itself: damage, other programs, a full disk.

use perennial_registry::{Registry, RegistryError, invariants};
use rstest::rstest;
use tempfile::TempDir;

use crate::{common::*, cycle, open};

#[rstest]
#[case("UPDATE champion SET adapter = NULL", invariants::exactly_one_champion)]
#[case("UPDATE adapters SET state = 'retired'", invariants::exactly_one_champion)]
#[case("DELETE FROM promotions", invariants::exactly_one_champion)]
#[case("UPDATE decisions SET passed = 0", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE decisions SET mix = 'x'", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE candidates SET base = 'x'", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE cycles SET suites = '{}'", invariants::no_promotion_without_passed_gate)]
#[case("DELETE FROM samples", invariants::sample_id_stored_once)]
#[case("DELETE FROM phases WHERE phase = 2", invariants::phases_in_order)]
#[case("DELETE FROM phases WHERE phase = 5", invariants::phases_in_order)]
fn damage_is_found_by_its_property(
    #[case] damage: &str,
    #[case] property: fn(&rusqlite::Connection) -> Result<(), RegistryError>,
) {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false)]).unwrap();
    cycle(&registry, "w", true, vec![id(1)]);
    registry.read(property).unwrap();
    registry.read(|connection| connection.execute_batch(damage)).unwrap();
    assert!(matches!(registry.read(property).unwrap_err(), RegistryError::Invariant { .. }));
    assert!(registry.check().is_err());
}

#[test]
fn another_programs_or_a_newer_database_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Registry::open(&foreign).unwrap_err(), RegistryError::Foreign { .. }));
    let (_folder, path, registry) = open();
    registry.read(|connection| connection.pragma_update(None, "user_version", 99)).unwrap();
    drop(registry);
    assert!(matches!(Registry::open(&path).unwrap_err(), RegistryError::Newer { found: 99, .. }));
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "no database at all, but long enough to be read as a header of one").unwrap();
    assert!(matches!(Registry::open(&garbage).unwrap_err(), RegistryError::Open { .. }));
    assert_eq!(std::fs::read(&garbage).unwrap().len(), 65);
}

#[test]
fn commits_are_fully_synchronous() {
    let (_folder, _, registry) = open();
    let pragma =
        |name: &str| registry.read(|connection| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)));
    assert_eq!(pragma("synchronous").unwrap(), 2);
    assert_eq!(pragma("foreign_keys").unwrap(), 1);
    let mode: String =
        registry.read(|connection| connection.pragma_query_value(None, "journal_mode", |row| row.get(0))).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn full_disk_is_told_and_changes_nothing() {
    let (_folder, _, registry) = open();
    registry.read(|connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    });
    let samples: Vec<_> = (0..1000).map(|number| sample(number, false)).collect();
    let error = add(&registry, "one", &samples).unwrap_err();
    assert!(error.is_storage_full(), "{error}");
    assert_eq!(registry.segment_totals().unwrap(), (0, 0, 0));
    assert!(!RegistryError::NothingToRollBack.is_storage_full());
}

#[test]
fn a_check_at_start_is_bounded_in_time_and_finds_damage() {
    let (_folder, path, registry) = open();
    for segment in 0..50 {
        let samples: Vec<_> = (0..200).map(|number| sample(segment * 200 + number, false)).collect();
        add(&registry, &segment.to_string(), &samples).unwrap();
    }
    assert!(registry.check_for(std::time::Duration::from_secs(60)).unwrap(), "all of it in a minute");
    assert!(!registry.check_for(std::time::Duration::ZERO).unwrap(), "none of it in no time");
    registry.check().unwrap();
    let kept: i64 = registry
        .read(|connection| connection.pragma_query_value(None, "journal_size_limit", |row| row.get(0)))
        .unwrap();
    let synchronous: i64 =
        registry.read(|connection| connection.pragma_query_value(None, "synchronous", |row| row.get(0))).unwrap();
    assert_eq!((kept, synchronous), (4 << 20, 2), "the log is cut back, and every commit is synced");
    drop(registry);

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let registry = Registry::open(&path).unwrap();
    assert!(registry.check_for(std::time::Duration::from_secs(60)).is_err());
}

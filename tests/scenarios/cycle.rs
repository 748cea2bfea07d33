use std::fs;

use perennial_registry::PromotionReason;
use perennial_tests::{Fixture, task};
use perennial_types::AdapterId;
use serde_json::Value;

use crate::support::{cycle, ingest, promoted, report};

/// One long story, since each chapter starts where the one before ended: a new task is learned, poison is refused, a
/// person overrules the gate and takes it back, and a second task does not cost the first.
#[test]
fn champion_learns_refuses_poison_and_keeps_what_it_knew() {
    let fixture = Fixture::new().unwrap();

    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()).unwrap();
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()).unwrap();
    let first = cycle(&fixture).unwrap();
    assert!(promoted(&first), "{:#}", report(&fixture, &first).unwrap()["decision"]);
    let champion = first.candidate.clone().unwrap();
    assert_eq!(fixture.published().as_deref(), Some(champion.as_str()));
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert!(fixture.state().join("export/current").join(file).is_file(), "{file}");
    }
    assert!(fixture.state().join("cycles").join(first.id.to_string()).join("report.md").is_file());

    ingest(&fixture, "poison.jsonl", &shuffled_answers(&task("tickets_train").unwrap())).unwrap();
    let poisoned = cycle(&fixture).unwrap();
    assert!(!promoted(&poisoned));
    let refused = poisoned.candidate.clone().unwrap();
    assert_eq!(fixture.published().as_deref(), Some(champion.as_str()), "the champion stays");
    let reasons = report(&fixture, &poisoned).unwrap()["decision"].to_string();
    assert!(reasons.contains("tickets_golden"), "names the suite that fell: {reasons}");

    promote_by_force(&fixture, &refused);
    assert_eq!(fixture.published().as_deref(), Some(refused.as_str()));
    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    assert_eq!(fixture.published().as_deref(), Some(champion.as_str()));
    let reasons: Vec<PromotionReason> =
        fixture.registry().unwrap().promotions().unwrap().iter().map(|promotion| promotion.reason).collect();
    assert_eq!(reasons, [PromotionReason::Passed, PromotionReason::Forced, PromotionReason::Rollback]);

    ingest(&fixture, "zun.jsonl", &task("zun_train").unwrap()).unwrap();
    let second = cycle(&fixture).unwrap();
    let manifest = fixture.state().join("cycles").join(second.id.to_string()).join("manifest.json");
    let manifest: Value = serde_json::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
    let replayed = replayed_domains(&manifest);
    assert!(replayed.iter().any(|domain| domain != "zun"), "{manifest:#}");
    let suites = &report(&fixture, &second).unwrap()["suites"];
    assert!(suites.as_array().is_some_and(|suites| suites.len() >= 4), "golden and auto suites: {suites:#}");
}

fn promote_by_force(fixture: &Fixture, adapter: &AdapterId) {
    let refusal = fixture.program.run(&["promote", adapter.as_str()]).unwrap().failure().unwrap();
    assert!(refusal.contains("--force"), "says how to overrule the gate: {refusal}");
    fixture.program.run(&["promote", "--force", adapter.as_str()]).unwrap().success().unwrap();
}

/// Each question with the answer of another row.
fn shuffled_answers(rows: &[String]) -> Vec<String> {
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let others = rows.iter().cycle().skip(rows.len() / 2);
    let swapped = rows.iter().zip(others).map(|(row, other)| {
        let mut row = row.clone();
        row["messages"][1] = other["messages"][1].clone();
        row.to_string()
    });
    swapped.collect()
}

/// The domains of which samples were replayed.
fn replayed_domains(manifest: &Value) -> Vec<String> {
    let domains = manifest["domains"].as_object().expect("the manifest counts by domain");
    let replayed = domains.iter().filter(|(_, counts)| counts["replay"].as_u64().is_some_and(|count| count > 0));
    replayed.map(|(domain, _)| domain.clone()).collect()
}

//! What is new is learned by a pair beside the frozen champion: the candidate has the configured rank, the report says what became
//! of the pair, and what does not go with it is refused by name.

use std::fs;

use perennial_tests::{Fixture, task};
use serde_json::Value;

use crate::support::{cycle, ingest, promoted, report};

const BESIDE: [&str; 6] = [
    "train.epochs=1",
    "train.steps_max=12",
    "train.validation_fraction=0.15",
    "train.interpolate=[0.5,1.0]",
    "replay.base_answers.ratio=0.0",
    "train.penalty.orthogonal.weight=0.5",
];

#[test]
fn a_candidate_learned_beside_the_champion_has_its_rank_again() {
    let fixture = Fixture::new().unwrap().with(&BESIDE);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..80]).unwrap();
    let first = cycle(&fixture).unwrap();
    let notes = report(&fixture, &first).unwrap()["notes"].to_string();
    assert!(
        notes.contains("train.penalty.orthogonal.weight had no effect in this cycle: there is no champion"),
        "{notes}"
    );
    if !promoted(&first) {
        let candidate = first.candidate.as_ref().unwrap();
        fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    }

    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..80]).unwrap();
    let second = cycle(&fixture).unwrap();
    let notes = report(&fixture, &second).unwrap()["notes"].to_string();
    assert!(notes.contains("beside the frozen champion, and both were brought back to rank"), "{notes}");
    assert!(notes.contains("of the way from the champion to what was trained"), "{notes}");

    let adapters = fixture.state().join("adapters");
    let rank = |cycle: &perennial_registry::Cycle| -> Value {
        let folder = adapters.join(cycle.candidate.as_ref().unwrap().as_str());
        let config = fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        serde_json::from_str::<Value>(&config).unwrap()["r"].clone()
    };
    assert_eq!(rank(&first), rank(&second));

    let folder = fixture.state().join("cycles").join(second.id.to_string());
    let served = adapters.join(second.candidate.as_ref().unwrap().as_str()).join("adapter_model.safetensors");
    for left in ["candidate", "checkpoints"] {
        let _ = fs::remove_dir_all(folder.join(left));
    }
    fixture.program.run(&["train".as_ref(), "--cycle".as_ref(), folder.as_os_str()]).unwrap().success().unwrap();
    let again = fs::read(folder.join("candidate/adapter_model.safetensors")).unwrap();
    assert!(again == fs::read(served).unwrap(), "trained once more it is something else");
    let text = fs::read_to_string(folder.join("checkpoints/sft/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["penalty/orthogonal"].as_f64().is_some_and(|value| value > 0.0)), "{text}");
}

#[test]
fn what_does_not_go_with_it_is_refused_by_name() {
    for other in
        ["train.use_dora=true", "train.start=fresh", "train.penalty.ewc.weight=1.0", "train.carry_optimizer=true"]
    {
        let fixture = Fixture::new().unwrap().with(&["train.penalty.orthogonal.weight=0.5", other]);
        let refused = fixture.program.run(&["check"]).unwrap();
        let key = other.split('=').next().unwrap();
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert_ne!(refused.code, Some(0), "{told}");
        assert!(told.contains("train.penalty.orthogonal.weight") && told.contains(key), "{told}");
    }
}

//! AdamW's state over three cycles: what the first leaves the second begins with, and where there is nothing to go on with the
//! report says so.

use std::{fs, path::PathBuf};

use perennial_registry::Cycle;
use perennial_tests::{Fixture, task};

use crate::support::{cycle, ingest, promoted, report};

const CARRIED: [&str; 5] = [
    "train.epochs=1",
    "cycle.samples_min=5000",
    "train.steps_max=8",
    "replay.base_answers.ratio=0.0",
    "train.carry_optimizer=true",
];

fn folder(fixture: &Fixture, cycle: &Cycle) -> PathBuf {
    fixture.state().join("cycles").join(cycle.id.to_string())
}

fn notes(fixture: &Fixture, cycle: &Cycle) -> String {
    report(fixture, cycle).unwrap()["notes"].to_string()
}

/// A cycle over rows, whose candidate is in service afterwards.
fn served(fixture: &Fixture, name: &str, rows: &[String]) -> Cycle {
    ingest(fixture, name, rows).unwrap();
    let cycle = cycle(fixture).unwrap();
    if !promoted(&cycle) {
        let candidate = cycle.candidate.as_ref().unwrap();
        fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    }
    cycle
}

#[test]
fn a_candidate_goes_on_with_what_the_optimiser_knew_of_the_champion() {
    let fixture = Fixture::new().unwrap().with(&CARRIED);
    let (general, tickets) = (task("general_train").unwrap(), task("tickets_train").unwrap());

    let first = served(&fixture, "general.jsonl", &general[..60]);
    let told = notes(&fixture, &first);
    assert!(told.contains("had no effect on sft in this cycle: the candidate goes on from no champion"), "{told}");
    let left = fs::read(folder(&fixture, &first).join("optimizer-sft.safetensors")).unwrap();

    let second = served(&fixture, "tickets.jsonl", &tickets[..60]);
    let told = notes(&fixture, &second);
    assert!(told.contains("sft began with what AdamW knew after the champion's training, of "), "{told}");
    let (at, adapters) = (folder(&fixture, &second), fixture.state().join("adapters"));
    assert!(fs::read(at.join("parent-optimizer-sft.safetensors")).unwrap() == left);

    // The stage is a function of its folder, what was left of the champion's training included.
    let served_weights = adapters.join(second.candidate.as_ref().unwrap().as_str()).join("adapter_model.safetensors");
    let retrain = || {
        let _ = fs::remove_dir_all(at.join("candidate"));
        let _ = fs::remove_dir_all(at.join("checkpoints"));
        fixture.program.run(&["train".as_ref(), "--cycle".as_ref(), at.as_os_str()]).unwrap().success().unwrap();
        fs::read(at.join("candidate/adapter_model.safetensors")).unwrap()
    };
    let left = fs::read(at.join("optimizer-sft.safetensors")).unwrap();
    fs::remove_file(at.join("optimizer-sft.safetensors")).unwrap();
    assert!(retrain() == fs::read(&served_weights).unwrap(), "trained once more it is something else");
    assert!(fs::read(at.join("optimizer-sft.safetensors")).unwrap() == left);
    fs::rename(at.join("parent-optimizer-sft.safetensors"), at.join("aside")).unwrap();
    assert!(retrain() != fs::read(&served_weights).unwrap(), "what AdamW knew makes no difference");
    // As the cycle left it.
    fs::write(at.join("optimizer-sft.safetensors"), &left).unwrap();

    // An average of steps is no place that the optimiser was at.
    let averaged = fixture.with(&["train.ema_decay=0.9"]);
    let third = served(&averaged, "more.jsonl", &general[60..100]);
    let told = notes(&averaged, &third);
    assert!(
        told.contains("sft began with what AdamW knew") && told.contains("is not kept for the next cycle"),
        "{told}"
    );
    assert!(!folder(&averaged, &third).join("optimizer-sft.safetensors").exists());
}

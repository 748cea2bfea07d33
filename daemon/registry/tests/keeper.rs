//! Nobody becomes champion whose files are not what the lineage says, and what targets serve is kept.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "what other tests share")]
mod common;

use std::{fs, path::PathBuf};

use common::*;
use perennial_registry::{
    ChampionKeeper, ChangeError, NewAdapter, NewDecision, Product, Registry, invariants::exactly_one_champion, store,
};
use perennial_types::{AdapterId, Fingerprint, Publication};
use serde_json::Value;
use tempfile::TempDir;

struct State {
    folder: TempDir,
    registry: Registry,
    keeper: ChampionKeeper,
}

impl State {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
        let keeper = ChampionKeeper::new(registry.clone(), folder.path().join("adapters"));
        Self { folder, registry, keeper }
    }

    fn change_file(&self, adapter: &AdapterId) {
        let file: PathBuf = self.folder.path().join("adapters").join(adapter.as_str()).join("adapter_config.json");
        fs::remove_file(&file).unwrap();
        fs::write(file, "changed").unwrap();
    }

    /// A cycle up to its decision, and its candidate, which is stored.
    fn evaluated(&self, weights: &str) -> (perennial_types::CycleId, NewDecision) {
        let peft = self.folder.path().join("peft");
        fs::create_dir_all(&peft).unwrap();
        fs::write(peft.join("adapter_config.json"), weights).unwrap();
        let files: Fingerprint = store::store_adapter(&self.folder.path().join("adapters"), &peft).unwrap();
        let cycle = self.registry.begin_cycle(&new_cycle(), 0).unwrap();
        record(&self.registry, cycle, Product::Collected).unwrap();
        record(&self.registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
        let candidate = NewAdapter { files, ..adapter(weights, self.registry.champion().unwrap()) };
        record(&self.registry, cycle, Product::Trained(&candidate)).unwrap();
        record(&self.registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
        (cycle, NewDecision { files, ..decision(weights, true, Vec::new()) })
    }

    /// A whole cycle, whose candidate becomes the champion.
    fn promoted(&self, weights: &str) -> AdapterId {
        let (cycle, decision) = self.evaluated(weights);
        self.keeper.decide(cycle, &decision, &Value::Null, 0).unwrap();
        record(&self.registry, cycle, Product::Published).unwrap();
        self.registry.champion().unwrap().unwrap()
    }
}

#[test]
fn an_adapter_that_was_changed_is_never_put_in_service() {
    let state = State::new();
    assert_eq!(state.registry.last_promotion().unwrap(), None);
    let (one, two) = (state.promoted("one"), state.promoted("two"));
    state.change_file(&one);
    let refused = [state.keeper.promote(&one, "", 0), state.keeper.roll_back(None, 0).map(drop)];
    for error in refused.map(Result::unwrap_err) {
        assert!(matches!(error, ChangeError::Unfit { .. }), "{error}");
    }
    assert_eq!(state.registry.champion().unwrap(), Some(two.clone()));
    let (number, last) = state.registry.last_promotion().unwrap().unwrap();
    assert_eq!((number, last.from, last.to), (2, Some(one), Some(two)));

    let (cycle, decision) = state.evaluated("three");
    state.change_file(&AdapterId::of(&decision.files));
    let error = state.keeper.decide(cycle, &decision, &Value::Null, 0).unwrap_err();
    assert!(matches!(error, ChangeError::Unfit { .. }), "{error}");
    state.registry.read(exactly_one_champion).unwrap();
}

#[test]
fn what_a_target_serves_is_kept() {
    let state = State::new();
    let one = state.promoted("one");
    assert_eq!(state.registry.publication("hook").unwrap(), None);
    let behind = Publication {
        target: "hook".to_owned(),
        place: fingerprint("place"),
        wished: 1,
        wished_adapter: Some(one.clone()),
        served: None,
        served_adapter: None,
        since_ms: 7,
        attempts: 3,
        next_ms: Some(9),
        error: Some("no answer".to_owned()),
    };
    let follows = Publication { served: Some(1), served_adapter: Some(one), error: None, ..behind.clone() };
    for publication in [behind, follows] {
        state.registry.record_publication(&publication).unwrap();
        assert_eq!(state.registry.publication("hook").unwrap(), Some(publication));
    }
    state.registry.check().unwrap();
}

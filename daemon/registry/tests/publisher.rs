//! What production reads, whoever changes the champion and whatever fails.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "what other tests share")]
mod common;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::*;
use perennial_registry::{
    NewAdapter, NewDecision, Product, Registry,
    invariants::{champion_is_published, exactly_one_champion},
    publish::{self, ChangeError, PublishError, Publisher},
};
use perennial_types::{AdapterId, Fingerprint};
use serde_json::Value;
use tempfile::TempDir;

struct State {
    folder: TempDir,
    registry: Registry,
    publisher: Publisher,
}

impl State {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
        let (adapters, export) = (folder.path().join("adapters"), folder.path().join("export"));
        let publisher = Publisher::new(registry.clone(), adapters, export);
        Self { folder, registry, publisher }
    }

    fn export(&self) -> PathBuf {
        self.folder.path().join("export")
    }

    fn file(&self, adapter: &AdapterId) -> PathBuf {
        self.folder.path().join("adapters").join(adapter.as_str()).join("adapter_config.json")
    }

    fn current(&self) -> Option<AdapterId> {
        publish::current(&self.export()).unwrap()
    }

    /// A cycle up to its decision, and its candidate, which is stored.
    fn evaluated(&self, weights: &str) -> (perennial_types::CycleId, NewDecision) {
        let peft = self.folder.path().join("peft");
        fs::create_dir_all(&peft).unwrap();
        fs::write(peft.join("adapter_config.json"), weights).unwrap();
        let files: Fingerprint = publish::store_adapter(&self.folder.path().join("adapters"), &peft).unwrap();
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
        self.publisher.decide(cycle, &decision, &Value::Null, 0).unwrap();
        let champion = self.publisher.publish(0).unwrap().unwrap();
        record(&self.registry, cycle, Product::Published).unwrap();
        champion
    }
}

/// Ends the threads of a scope also where an assertion fails in it.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_link_follows_the_champion() {
    let state = State::new();
    assert_eq!(state.publisher.publish(0).unwrap(), None);
    let (one, two) = (state.promoted("one"), state.promoted("two"));
    assert_eq!(state.current(), Some(two.clone()));
    assert_eq!(state.publisher.roll_back(None, 0).unwrap(), Some(one.clone()));
    assert_eq!(state.current(), Some(one));
    state.publisher.promote(&two, "again", 0).unwrap();
    assert_eq!(state.current(), Some(two));
    state.registry.read(|connection| champion_is_published(connection, &state.export())).unwrap();
}

#[test]
fn a_cycle_that_publishes_never_undoes_a_change_that_comes_between() {
    let state = State::new();
    let (one, two) = (state.promoted("one"), state.promoted("two"));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = SetOnDrop(&over);
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(state.publisher.publish(0).unwrap())
                }
            });
        }
        for _ in 0..100 {
            for (champion, change) in [(&one, false), (&two, true)] {
                match change {
                    true => state.publisher.promote(&two, "", 0).unwrap(),
                    false => drop(state.publisher.roll_back(Some(&one), 0).unwrap()),
                }
                for _ in 0..20 {
                    assert_eq!(state.current().as_ref(), Some(champion));
                    thread::yield_now();
                }
            }
        }
    });
}

#[test]
fn an_adapter_that_was_changed_is_never_put_in_service() {
    let state = State::new();
    let (one, two) = (state.promoted("one"), state.promoted("two"));
    fs::remove_file(state.file(&one)).unwrap();
    fs::write(state.file(&one), "changed").unwrap();
    let refused = [state.publisher.promote(&one, "", 0), state.publisher.roll_back(None, 0).map(drop)];
    for error in refused.map(Result::unwrap_err) {
        assert!(matches!(error, ChangeError::Unfit { .. }), "{error}");
    }
    assert_eq!((state.registry.champion().unwrap(), state.current()), (Some(two.clone()), Some(two)));

    let (cycle, decision) = state.evaluated("three");
    let three = AdapterId::of(&decision.files);
    fs::remove_file(state.file(&three)).unwrap();
    let error = state.publisher.decide(cycle, &decision, &Value::Null, 0).unwrap_err();
    assert!(matches!(error, ChangeError::Unfit { .. }), "{error}");
    state.registry.read(exactly_one_champion).unwrap();
}

#[test]
fn a_switch_that_fails_is_told_until_it_is_made_good() {
    let state = State::new();
    let (one, two) = (state.promoted("one"), state.promoted("two"));
    // What cannot be removed where the new link is made.
    let obstacle = state.export().join(".current.tmp");
    fs::create_dir(&obstacle).unwrap();
    let error = state.publisher.roll_back(None, 7).unwrap_err();
    assert!(matches!(error, ChangeError::NotSwitched(PublishError::Io { .. })), "{error}");
    assert_eq!((state.registry.champion().unwrap(), state.current()), (Some(one.clone()), Some(two)));
    assert!(state.publisher.publish(9).is_err());
    assert_eq!(state.publisher.unpublished().unwrap().since_ms, 7);
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(state.publisher.publish(11).unwrap(), Some(one.clone()));
    assert_eq!((state.current(), state.publisher.unpublished()), (Some(one), None));
}

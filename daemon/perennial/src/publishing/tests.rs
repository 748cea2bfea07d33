//! What production reads, whoever changes the champion and whatever fails.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use perennial_registry::{NewAdapter, NewCycle, Product, store};
use perennial_types::Fingerprint;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::telemetry::ProgressBar;

struct Place {
    _folder: TempDir,
    _runtime: Runtime,
    state: StateDir,
    registry: Registry,
    publishing: Publishing,
}

impl Place {
    fn new() -> Self {
        let (folder, runtime) = (TempDir::new().unwrap(), Runtime::new().unwrap());
        let state = StateDir::new(folder.path(), None);
        let registry = Registry::open(&state.database()).unwrap();
        let telemetry = Telemetry::new(ProgressBar::hidden()).unwrap();
        let publishing =
            Publishing::new(&Config::default(), &state, registry.clone(), telemetry, runtime.handle().clone());
        Self { _folder: folder, _runtime: runtime, state, registry, publishing }
    }

    fn current(&self) -> Option<AdapterId> {
        perennial_publish::current(&self.state.export()).unwrap()
    }

    /// A whole cycle, whose candidate becomes the champion.
    fn promoted(&self, weights: &str) -> AdapterId {
        let peft: PathBuf = self.state.root().join("peft");
        fs::create_dir_all(&peft).unwrap();
        fs::write(peft.join("adapter_config.json"), weights).unwrap();
        let files = store::store_adapter(&self.state.adapters(), &peft).unwrap();
        let (base, mix) = (Fingerprint::of(b"base"), Fingerprint::of(b"mix"));
        let suites = BTreeMap::from([("general".to_owned(), Fingerprint::of(b"suite"))]);
        let new = NewCycle { reason: "test".to_owned(), config: json!({}), seed: 1 };
        let cycle = self.registry.begin_cycle(&new, 0).unwrap();
        let parent = self.registry.champion().unwrap();
        let code_version = "0".to_owned();
        let candidate = NewAdapter { files, parent, base, mix, config: json!({}), seed: 1, code_version };
        for product in [
            Product::Collected,
            Product::Mixed { mix },
            Product::Trained(&candidate),
            Product::Evaluated { suites: &suites },
        ] {
            self.registry.record_phase(cycle, product, &Value::Null, 0).unwrap();
        }
        let (learned, set_aside, reasons) = (Vec::new(), BTreeMap::new(), json!([]));
        let decision = NewDecision { passed: true, files, base, mix, suites, reasons, learned, set_aside, pins: false };
        self.publishing.decide(cycle, &decision, &Value::Null).unwrap();
        let champion = self.publishing.publish().unwrap().unwrap();
        self.registry.record_phase(cycle, Product::Published, &Value::Null, 0).unwrap();
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
    let place = Place::new();
    assert_eq!(place.publishing.publish().unwrap(), None);
    let (one, two) = (place.promoted("one"), place.promoted("two"));
    assert_eq!(place.current(), Some(two.clone()));
    assert_eq!(place.publishing.roll_back(None).unwrap(), Some(one.clone()));
    assert_eq!(place.current(), Some(one));
    place.publishing.promote(&two, "again").unwrap();
    assert_eq!(place.current(), Some(two.clone()));
    assert_eq!(perennial_publish::astray(&place.state.export(), Some(&two)), None);
    let standings = place.publishing.standings().unwrap();
    assert!(standings.len() == 1 && !standings[0].is_behind(), "{standings:?}");
    assert_eq!(standings[0], place.registry.publication("folder").unwrap().unwrap());
}

#[test]
fn a_cycle_that_publishes_never_undoes_a_change_that_comes_between() {
    let place = Place::new();
    let (one, two) = (place.promoted("one"), place.promoted("two"));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = SetOnDrop(&over);
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(place.publishing.publish().unwrap())
                }
            });
        }
        for _ in 0..100 {
            for (champion, change) in [(&one, false), (&two, true)] {
                match change {
                    true => place.publishing.promote(&two, "").unwrap(),
                    false => drop(place.publishing.roll_back(Some(&one)).unwrap()),
                }
                for _ in 0..20 {
                    assert_eq!(place.current().as_ref(), Some(champion));
                    thread::yield_now();
                }
            }
        }
    });
}

#[test]
fn a_switch_that_fails_is_told_until_it_is_made_good() {
    let place = Place::new();
    let (one, two) = (place.promoted("one"), place.promoted("two"));
    // What cannot be removed where the new link is made.
    let obstacle = place.state.export().join(".current.tmp");
    fs::create_dir(&obstacle).unwrap();
    let error = place.publishing.roll_back(None).unwrap_err();
    assert!(error.is::<NotFollowed>(), "{error}");
    assert_eq!((place.registry.champion().unwrap(), place.current()), (Some(one.clone()), Some(two)));
    let since_ms = place.publishing.unpublished().unwrap().since_ms;
    assert!(place.publishing.publish().is_err());
    assert_eq!(place.publishing.unpublished().unwrap().since_ms, since_ms);
    let standings = place.publishing.standings().unwrap();
    assert!(place.publishing.astray(&standings).unwrap().contains(".current.tmp"), "{standings:?}");
    assert!(standings[0].attempts == 2 && standings[0].next_ms.is_some(), "{standings:?}");
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(place.publishing.publish().unwrap(), Some(one.clone()));
    assert_eq!((place.current(), place.publishing.unpublished()), (Some(one), None));
}

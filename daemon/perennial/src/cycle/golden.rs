//! What the golden suites ask, by one fingerprint: whether it is still what a refused candidate was asked.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use perennial_gate::Suite;
use perennial_registry::{Cycle, Phase};
use perennial_types::{Fingerprint, Fingerprinter};

use super::suites;
use crate::config::Config;

/// What a decision notes it under.
pub(super) const GOLDEN: &str = "golden";

/// What all these suites ask, wherever in its file an item stands.
pub(super) fn fingerprint(suites: &[Suite]) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::new();
    for suite in suites {
        let mut items: Vec<Fingerprint> = suite.items.iter().map(|item| suite.item_fingerprint(item)).collect();
        items.sort_unstable();
        fingerprinter.add(suite.name.as_bytes());
        fingerprinter.add(&(items.len() as u64).to_le_bytes());
        items.iter().for_each(|item| fingerprinter.add(item.as_bytes()));
    }
    fingerprinter.finish()
}

/// What the golden suites of a cycle asked; `None` where it has no decision, or one of an older program.
pub(super) fn noted(cycle: &Cycle) -> Option<Fingerprint> {
    serde_json::from_value(cycle.detail(Phase::Decided)?.get(GOLDEN)?.clone()).ok()
}

/// The golden files as they are now. They are read again only where one of them was written since: what waits is asked for often.
#[derive(Default)]
pub(super) struct GoldenFiles {
    known: Mutex<Option<(State, Option<Fingerprint>)>>,
}

/// What tells that nothing changed: how questions are asked, and each file with its size and when it was written.
type State = (bool, Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl GoldenFiles {
    /// What the suites of this configuration ask; `None` while one of them cannot be read or asks nothing.
    pub(super) fn ask(&self, config: &Config) -> Option<Fingerprint> {
        let written = |path: &PathBuf| {
            let known = fs::metadata(path).ok()?;
            Some((known.len(), known.modified().ok()?))
        };
        let files = config.gate.suite.iter().map(|suite| (suite.file.clone(), written(&suite.file))).collect();
        let state = (config.ingest.prompt_as_chat, files);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, asked)) = known.as_ref().filter(|(then, _)| *then == state) {
            return *asked;
        }
        let suites = suites::golden(config);
        let asked = suites.iter().all(|suite| !suite.items.is_empty()).then(|| fingerprint(&suites));
        *known = Some((state, asked));
        asked
    }
}

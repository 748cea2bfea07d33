//! Scores that were reached before, by all that determines them. Only ever a saving: whatever is missing here is asked again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::PathBuf,
    time::SystemTime,
};

use perennial_durable as durable;
use perennial_gate::ItemScore;
use perennial_learn::{compute::current_isa, model::Model};
use perennial_types::{Fingerprint, Fingerprinter};
use tracing::warn;

use crate::state::StateDir;

/// The scores of one model, a file for each suite.
pub(super) struct ScoreCache {
    folder: PathBuf,
}

/// Counts up where the meaning of a kept score changes.
const FORMAT: u32 = 1;

impl ScoreCache {
    /// Of the base and an adapter's files (`None`: the base alone). The folder is named by what determines a score beside
    /// the item and its metric: the program and the instructions it computes with, the weights and their precision, how
    /// text becomes tokens, and how much of a body is read. Whether a string is asked as a turn is in the item's name.
    pub(super) fn of(
        state: &StateDir,
        model: &Model,
        adapter: Option<&Fingerprint>,
        length_max: usize,
    ) -> anyhow::Result<Self> {
        let name = Fingerprinter::new()
            .part(&FORMAT.to_le_bytes())
            .part(env!("CARGO_PKG_VERSION").as_bytes())
            .part(current_isa().as_str().as_bytes())
            .part(model.fingerprint.as_bytes())
            .part(model.decoder.precision().as_str().as_bytes())
            .part(model.tokenizer.fingerprint()?.as_bytes())
            .part(model.template.source().unwrap_or_default().as_bytes())
            .part(adapter.map_or(&[][..], |files| files.as_bytes()))
            .part(&(length_max as u64).to_le_bytes())
            .finish();
        Ok(Self { folder: state.scores().join(name.short(32)) })
    }

    #[cfg(test)]
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is known of a suite's items; nothing where the file is missing or damaged.
    pub(super) fn read(&self, suite: &str) -> BTreeMap<Fingerprint, ItemScore> {
        let path = self.path(suite);
        match fs::read(&path).map(|json| serde_json::from_slice(&json)) {
            Ok(Ok(scores)) => return scores,
            Ok(Err(error)) => warn!(path = %path.display(), %error, "kept scores cannot be read: asked again"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(path = %path.display(), %error, "kept scores cannot be read: asked again"),
        }
        BTreeMap::new()
    }

    /// Keeps the scores of a suite's items, in place of those kept before. What may be otherwise the next time is not kept.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn write(&self, suite: &str, scores: &BTreeMap<Fingerprint, ItemScore>) -> anyhow::Result<()> {
        let is_passing = |score: &ItemScore| score.unjudged.as_ref().is_some_and(|unjudged| unjudged.passing);
        let lasting: BTreeMap<&Fingerprint, &ItemScore> =
            scores.iter().filter(|(_, score)| !is_passing(score)).collect();
        Ok(durable::write_durably(&self.path(suite), &serde_json::to_vec(&lasting)?)?)
    }

    /// Notes that these scores were used, so that those that were not go first.
    pub(super) fn touch(&self) {
        let touched = File::open(&self.folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        if let Err(error) = touched
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(folder = %self.folder.display(), %error, "the use of kept scores cannot be noted");
        }
    }

    /// One that was given as a file is named by its path, and nothing is to be written there.
    fn path(&self, suite: &str) -> PathBuf {
        let name = if suite.contains('/') { Fingerprint::of(suite.as_bytes()).to_string() } else { suite.to_owned() };
        self.folder.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use perennial_gate::Unjudged;

    use super::*;

    #[test]
    fn nothing_is_written_beside_a_suite_that_was_given_as_a_file() {
        let root = tempfile::tempdir().unwrap();
        let cache = ScoreCache { folder: root.path().join("side") };
        for name in ["auto:a", "rows.jsonl", "/srv/suites/rows.jsonl", "../rows.jsonl"] {
            assert_eq!(cache.path(name).parent(), Some(cache.folder.as_path()), "{name}");
        }
        assert_ne!(cache.path("/a/rows.jsonl"), cache.path("/b/rows.jsonl"));
    }

    #[test]
    fn what_a_clock_decided_is_asked_again_and_the_rest_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let cache = ScoreCache { folder: root.path().join("side") };
        assert!(cache.read("auto:a").is_empty());
        cache.touch();
        let score = |score, unjudged| ItemScore { score, unjudged, unasked: false, ..ItemScore::unasked() };
        let timed_out = Unjudged { reason: "timed out".to_owned(), passing: true };
        let scores = BTreeMap::from([
            (Fingerprint::of(b"good"), score(Some(0.5), None)),
            (Fingerprint::of(b"slow"), score(None, Some(timed_out))),
            (Fingerprint::of(b"bad"), score(None, Some(Unjudged::lasting("refused")))),
        ]);
        cache.write("auto:a", &scores).unwrap();
        let read = cache.read("auto:a");
        assert_eq!(read.len(), 2);
        assert!(!read.contains_key(&Fingerprint::of(b"slow")));
        assert!(cache.read("auto:b").is_empty());
        fs::write(cache.path("auto:a"), "{").unwrap();
        assert!(cache.read("auto:a").is_empty());
    }
}

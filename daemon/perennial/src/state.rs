//! The state directory: where everything lies. Nothing else builds these paths.

use std::path::{Path, PathBuf};

use perennial_durable::{DurableError, create_folder_of_mode, rename_durably};
use perennial_types::{AdapterId, CycleId};

/// Owner and group.
const SHARED_MODE: u32 = 0o750;

/// The owner alone.
const OWN_MODE: u32 = 0o700;

/// What an older program called [`StateDir::base_answers`].
const OLDER_BASE_ANSWERS: &str = "anchors";

/// The state directory's layout. Cheap enough to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateDir {
    root: PathBuf,
    inbox: PathBuf,
}

impl StateDir {
    /// The layout under `root`; `inbox` where the configuration puts it elsewhere.
    pub(crate) fn new(root: &Path, inbox: Option<&Path>) -> Self {
        let inbox = inbox.map_or_else(|| root.join("inbox"), Path::to_owned);
        Self { root: root.to_owned(), inbox }
    }

    /// Makes the folders that must exist before anything runs, closed to all but the owner, and the group where that has
    /// something to do there: production reads `export` and `adapters`, a rollout server the cycles, writers may be let into
    /// the inbox. What is there keeps the mode that somebody gave it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn create(&self) -> Result<(), DurableError> {
        let older = self.root.join(OLDER_BASE_ANSWERS);
        if older.is_dir() && !self.base_answers().exists() {
            rename_durably(&older, &self.base_answers())?;
        }
        let shared = [self.root.clone(), self.taken(), self.cycles(), self.adapters(), self.export()];
        let own = [self.quarantine(), self.segments(), self.base_answers(), self.scores(), self.drift()];
        let modes = shared.into_iter().map(|folder| (folder, SHARED_MODE)).chain(own.map(|folder| (folder, OWN_MODE)));
        modes.into_iter().try_for_each(|(folder, mode)| create_folder_of_mode(&folder, mode))
    }

    /// The state directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The watched folder.
    pub(crate) fn inbox(&self) -> &Path {
        &self.inbox
    }

    /// Files of the inbox that were taken in.
    pub(crate) fn taken(&self) -> PathBuf {
        self.inbox.join("taken")
    }

    /// Refused rows and files.
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Files that were refused as a whole, or not read to their end.
    pub(crate) fn quarantined_files(&self) -> PathBuf {
        self.quarantine().join("files")
    }

    /// Parquet files of samples, in a folder a day.
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    /// The replay buffer.
    pub(crate) fn lance(&self) -> PathBuf {
        self.root.join("lance")
    }

    /// The base model's own answers to prompts.
    pub(crate) fn base_answers(&self) -> PathBuf {
        self.root.join("base_answers")
    }

    /// What was measured of drift.
    pub(crate) fn drift(&self) -> PathBuf {
        self.root.join("drift")
    }

    /// The folders of all cycles.
    pub(crate) fn cycles(&self) -> PathBuf {
        self.root.join("cycles")
    }

    /// The folder of one cycle.
    pub(crate) fn cycle(&self, id: CycleId) -> PathBuf {
        self.cycles().join(id.to_string())
    }

    /// Scores that a model reached on a suite, by the fingerprint of both.
    pub(crate) fn scores(&self) -> PathBuf {
        self.root.join("scores")
    }

    /// Reward plugins as they were compiled. Nobody else may write here: what lies here is run.
    pub(crate) fn plugin_cache(&self) -> PathBuf {
        self.root.join("plugin-cache")
    }

    /// The folders of all adapters.
    pub(crate) fn adapters(&self) -> PathBuf {
        self.root.join("adapters")
    }

    /// The folder of one adapter.
    pub(crate) fn adapter(&self, id: &AdapterId) -> PathBuf {
        self.adapters().join(id.as_str())
    }

    /// The folder with the link `current`, which production reads.
    pub(crate) fn export(&self) -> PathBuf {
        self.root.join("export")
    }

    /// The registry.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("perennial.db")
    }

    /// Held by whoever writes here: the daemon, or one command at a time.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where the running daemon says how it is reached.
    pub(crate) fn daemon(&self) -> PathBuf {
        self.root.join("daemon.json")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_an_older_program_had_the_base_answer_is_kept_under_its_new_name() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::new(root.path(), None);
        let older = root.path().join(OLDER_BASE_ANSWERS);
        fs::create_dir(&older).unwrap();
        fs::write(older.join("a.jsonl"), "a").unwrap();
        state.create().unwrap();
        assert_eq!(fs::read(state.base_answers().join("a.jsonl")).unwrap(), b"a");
        assert!(!older.exists());
        // Both are there only where an older program ran once more: nothing is put over the other.
        fs::create_dir(&older).unwrap();
        state.create().unwrap();
        assert!(older.exists() && state.base_answers().join("a.jsonl").exists());
    }
}

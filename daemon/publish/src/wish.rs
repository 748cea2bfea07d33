use std::path::PathBuf;

use perennial_types::{AdapterId, CycleId, Fingerprint};

/// What every target should serve: the champion, and the change that put it in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The number of the change of the champion, from 1; 0 where there was none.
    pub change: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why, in one word: `passed`, `forced` or `rollback`; empty where there was none.
    pub reason: String,
    /// The adapter in service; `None` is the base model alone.
    pub champion: Option<Champion>,
    /// The adapter before it; `None` is the base model.
    pub previous: Option<AdapterId>,
}

/// An adapter in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Champion {
    /// Which adapter the target should serve.
    pub adapter: AdapterId,
    /// The fingerprint of its files.
    pub files: Fingerprint,
    /// Its folder, in PEFT's format, which never changes.
    pub folder: PathBuf,
    /// The fingerprint of the base model that it was trained on.
    pub base: Fingerprint,
    /// The cycle that trained it.
    pub cycle: CycleId,
}

impl Wish {
    /// The adapter in service; `None` is the base model alone.
    pub fn adapter(&self) -> Option<&AdapterId> {
        self.champion.as_ref().map(|champion| &champion.adapter)
    }
}

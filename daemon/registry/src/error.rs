use std::path::PathBuf;

use perennial_types::{AdapterId, CycleId, SampleId};

use crate::Phase;

/// Why the registry refused or failed. Whatever is refused changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// SQLite failed.
    #[error("registry database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database cannot be opened.
    #[error("registry database {}: cannot be opened: {source}", path.display())]
    Open {
        /// `perennial.db` in the state directory.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file cannot be made.
    #[error("registry database {}: cannot be created: {source}", path.display())]
    Create {
        /// `perennial.db` in the state directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is a database, but not this program's.
    #[error("{}: is a database of another program; choose another state directory", path.display())]
    Foreign {
        /// `perennial.db` in the state directory.
        path: PathBuf,
    },
    /// The database was written by a newer program.
    #[error(
        "registry database {}: has version {found}, this program knows up to {known}; run the newer program, or restore a backup",
        path.display()
    )]
    Newer {
        /// `perennial.db` in the state directory.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// A value cannot be written as JSON.
    #[error("registry: a value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A safety property does not hold. Nothing was committed, or the database was damaged before.
    #[error("registry: the property \"{property}\" does not hold: {detail}")]
    Invariant {
        /// The function of [`crate::invariants`] that found it.
        property: &'static str,
        /// What was found.
        detail: String,
    },
    /// A sample id arrived twice.
    #[error("sample {0} is in the catalogue already; ask `known` first and leave duplicates out of the segment")]
    DuplicateSample(SampleId),
    /// A segment of this path is in the catalogue.
    #[error("segment {0} is in the catalogue already")]
    DuplicateSegment(String),
    /// A segment's row count is not that of its samples.
    #[error("segment {path}: it has {rows} rows, but {samples} samples were given")]
    SegmentRows {
        /// The segment.
        path: String,
        /// As the caller counted them when it wrote the file.
        rows: u64,
        /// The samples given.
        samples: usize,
    },
    /// A sample is unknown, held out, or consumed by another cycle.
    #[error("sample {0} cannot be consumed: it is unknown, held out, or was consumed by an earlier cycle")]
    NotFresh(SampleId),
    /// A sample is unknown or held out.
    #[error("sample {0} cannot be indexed: it is unknown or held out")]
    NotIndexable(SampleId),
    /// A cycle is under way.
    #[error("cycle {0} is under way; finish or abort it first")]
    CycleOpen(CycleId),
    /// No such cycle.
    #[error("there is no cycle {0}")]
    UnknownCycle(CycleId),
    /// The cycle is finished.
    #[error("cycle {0} is finished")]
    CycleClosed(CycleId),
    /// The phase is not the next one.
    #[error("cycle {cycle}: {found} cannot be recorded, the next phase is {}", expected.map_or("none", Phase::as_str))]
    WrongPhase {
        /// The one that was to record a phase.
        cycle: CycleId,
        /// The phase that was to be recorded.
        found: Phase,
        /// The one that is next.
        expected: Option<Phase>,
    },
    /// A decided promotion can only be published.
    #[error("cycle {0}: the candidate is promoted already; publish it, then roll back if it must go")]
    AlreadyPromoted(CycleId),
    /// No candidate of this cycle waits for a word, or not any more.
    #[error("no candidate of cycle {0} waits for a person's word")]
    NothingHeld(CycleId),
    /// The candidate was not made of what the cycle recorded before.
    #[error("cycle {cycle}: the {what} of the {phase} phase is not the one recorded before; nothing was recorded")]
    Mismatch {
        /// The one that was to record a phase.
        cycle: CycleId,
        /// What differs.
        what: &'static str,
        /// The phase that was to be recorded.
        phase: Phase,
    },
    /// The champion changed under a cycle.
    #[error(
        "cycle {cycle}: the champion changed while it ran ({} then, {} now), so the comparison says nothing; abort it",
        name(then.as_ref()), name(now.as_ref())
    )]
    ChampionChanged {
        /// The one that was to record a phase.
        cycle: CycleId,
        /// The champion at its start.
        then: Option<AdapterId>,
        /// The champion now.
        now: Option<AdapterId>,
    },
    /// No such adapter.
    #[error("there is no adapter {0}; `perennial adapters` lists them")]
    UnknownAdapter(AdapterId),
    /// The adapter is in service.
    #[error("adapter {0} is the champion already")]
    AlreadyChampion(AdapterId),
    /// The base model is in service.
    #[error("there is nothing to roll back to: the base model is in service without an adapter")]
    NothingToRollBack,
    /// Nobody rolls forward, or to what never was in service.
    #[error(
        "adapter {0} is not among the champions before the present one; `perennial promote --force` puts any adapter in service"
    )]
    NotAnEarlierChampion(AdapterId),
    /// A cycle's samples cannot be taken up again.
    #[error("cycle {0}: its samples cannot be requeued: {1}")]
    NotRequeueable(CycleId, &'static str),
}

impl RegistryError {
    /// Whether the disk that the database lies on is full.
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Sqlite(error) | Self::Open { source: error, .. } => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

fn name(adapter: Option<&AdapterId>) -> &str {
    adapter.map_or("the base model", AdapterId::as_str)
}

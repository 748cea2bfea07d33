//! What the platform (command line, daemon, HTTP) asks of the parts that do the work, and what it gives them.
//!
//! The platform never looks behind these traits, so its scheduling, shutdown and API are tested without a model.

mod daemon;

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use perennial_data::rows::source_name;
use perennial_drift::Cause;
use perennial_gate::Report;
use perennial_registry::Registry;
use perennial_types::{AdapterId, CycleId};

use crate::{
    answers::{Drift, Held},
    config::{Config, SharedConfig},
    publishing::Publishing,
    state::StateDir,
    telemetry::Telemetry,
};

pub(crate) use self::daemon::{AskError, Asked, Daemon, Readiness};
pub(crate) use crate::answers::{CycleEnd, IntakeReport, REJECTIONS_NAMED_MAX, Rejection, RequeueReport, Waiting};

/// What a part is built from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    /// The configuration: ask for [`SharedConfig::current`] at the start of each piece of work, since SIGHUP changes it.
    pub(crate) config: SharedConfig,
    /// Where everything lies.
    pub(crate) state: StateDir,
    /// What is known of everything there.
    pub(crate) registry: Registry,
    /// Changes the champion, and what production reads with it.
    pub(crate) publishing: Publishing,
    /// Where events go: log, metrics, status, watchdog.
    pub(crate) telemetry: Telemetry,
    /// For what only exists as async code (LanceDB). Ports are called on plain threads, where `block_on` is allowed.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// The parts that do the work. Every call blocks, and comes from a plain thread, never from the async runtime.
#[derive(Clone)]
pub(crate) struct Ports {
    /// Rows in.
    pub(crate) intake: Arc<dyn Intake>,
    /// Stored samples into the replay buffer.
    pub(crate) indexer: Arc<dyn Indexer>,
    pub(crate) cycles: Arc<dyn Cycles>,
    pub(crate) drift: Arc<dyn DriftWatch>,
}

/// Takes rows in. May be called by several threads at a time.
pub(crate) trait Intake: Send + Sync {
    /// Takes an open file in, under this name. When this returns `Ok`, every good row is stored, synced and catalogued and
    /// every bad row is in quarantine; the caller then moves the file away. Called again for the same file after a crash: ids
    /// make that harmless.
    fn take_file(&self, file: File, name: &str, stop: &Stop) -> Result<IntakeReport, IntakeError>;

    /// Takes the rows of one request in, with the same promise.
    fn take_rows(&self, rows: &mut dyn Read, origin: &Origin, stop: &Stop) -> Result<IntakeReport, IntakeError>;

    /// Takes the rows of a quarantine file in again, under the present configuration, and removes what was accepted.
    fn requeue(&self, file: &str) -> anyhow::Result<RequeueReport>;
}

/// Where rows come from, for their `source` and for quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A file's name, or a channel's (`http`).
    pub(crate) source: String,
    /// The number of the first line, counted from 1: a file sent in several requests keeps its line numbers.
    pub(crate) first_line: u64,
}

impl Origin {
    /// With a name that is short and plain, whatever was given.
    pub(crate) fn new(source: &str, first_line: u64) -> Self {
        Self { source: source_name(source), first_line: first_line.max(1) }
    }

    /// The line of the whole source that this line of the part is.
    pub(crate) fn line(&self, line: u64) -> u64 {
        line.saturating_add(self.first_line - 1)
    }
}

/// Why a file or a request could not be taken in, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// The input is not rows at all (binary, another kind of archive): a file is moved to quarantine with this reason.
    #[error("{input} cannot be read: {reason}")]
    Unreadable {
        /// The file's name or the channel.
        input: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// The input is damaged or goes beyond a bound. The rows before are taken in; a file is moved to quarantine with this
    /// reason.
    #[error("{input} was not read to its end: {reason} ({} accepted, {} duplicates, {} rejected)", report.accepted, report.duplicates, report.rejected)]
    Incomplete {
        /// The file's name or the channel.
        input: String,
        /// What is wrong and how to mend it.
        reason: String,
        /// Whether it is a bound, which a key raises.
        over_bound: bool,
        /// What became of the rows before.
        report: Box<IntakeReport>,
    },
    /// The disk is full. The input stays where it is and is tried again once there is room.
    #[error("the disk is full: nothing of this was acknowledged; make room in the state directory")]
    StorageFull(#[source] anyhow::Error),
    /// The disk, the database or the like failed. The input stays where it is and is tried again.
    #[error("rows could not be stored")]
    Storage(#[source] anyhow::Error),
    /// Too many requests wait already.
    #[error("too many requests wait to be read: send it again later")]
    Busy,
    /// Whoever asked for it is gone, or the daemon stops.
    #[error("taking rows in was stopped: send them again")]
    Stopped,
}

/// No cycle can be begun, for nothing waits that could be trained on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NothingToDo(
    /// What to do about it.
    pub(crate) String,
);

/// Puts stored training samples into the replay buffer.
pub(crate) trait Indexer: Send + Sync {
    /// Embeds and indexes everything that waits now, in batches, until that is done or `stop` is set. Returns rows indexed.
    fn index(&self, stop: &Stop) -> anyhow::Result<u64>;
}

/// Measures what moved in what comes in, and how far the champion has from the models before it.
pub(crate) trait DriftWatch: Send + Sync {
    /// Measures and keeps what was found. Nothing is calculated with the model unless `may_calculate`; that is the only part that
    /// takes long, and what is done of it by the time of `stop` is kept.
    fn measure(&self, may_calculate: bool, stop: &Stop) -> anyhow::Result<Drift>;
}

/// Starts and carries out cycles. One at a time: the platform sees to that.
pub(crate) trait Cycles: Send + Sync {
    /// What has come in and been in no cycle yet.
    fn waiting(&self) -> anyhow::Result<Waiting>;

    /// The cycle that was begun and not ended, if any: it goes on before another may start.
    fn unfinished(&self) -> anyhow::Result<Option<CycleId>>;

    /// Finds what the next cycle would fail by under this configuration, as far as that can be told before.
    fn check(&self, config: &Config) -> anyhow::Result<()>;

    /// What is likely not meant so under the configuration in force, though a cycle could be begun.
    fn doubts(&self) -> anyhow::Result<Vec<String>>;

    /// Begins a cycle: durable when this returns. [`NothingToDo`] where no samples wait.
    fn begin(&self, cause: Cause) -> anyhow::Result<CycleId>;

    /// Carries a cycle on from its last recorded phase to its end, or, once `stop` is set, to the next safe point
    /// (a checkpoint in training). Events go to the context's telemetry. An error may pass, and the cycle is to be run again;
    /// how often, it counts itself, and it ends as failed where that is in vain.
    fn run(&self, cycle: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd>;

    /// Asks for a cycle to be aborted: durable when this returns, and done by the run under way once it is told to stop, or
    /// else by the next one.
    fn request_abort(&self, cycle: CycleId, reason: &str) -> anyhow::Result<()>;

    /// The candidate of the unfinished cycle, where it waits for a person's word and nothing else can be done.
    fn held(&self) -> anyhow::Result<Option<Held>>;

    /// A person's word on the candidate that waits: durable when this returns, and carried out by the next run of its cycle.
    fn answer_hold(&self, cycle: CycleId, approves: bool, reason: &str) -> anyhow::Result<()>;

    /// What the gate says of an ended cycle under the configuration in force, from the scores that are kept.
    fn decide_anew(&self, cycle: CycleId) -> anyhow::Result<Report>;

    /// Gives an ended cycle's new samples back, and those that it set aside, so that a later cycle trains on them. Returns how many.
    fn requeue(&self, cycle: CycleId) -> anyhow::Result<u64>;

    /// Puts an adapter in service against or without the gate's word, and publishes it.
    fn promote(&self, adapter: &AdapterId, reason: &str) -> anyhow::Result<()>;

    /// Puts the champion before this one (or the named one) back in service, and publishes it. Returns its id; `None`
    /// is the base model without an adapter.
    fn roll_back(&self, to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>>;
}

/// Tells work on another thread to come to its next safe point. Cheap to clone; once set it stays set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the stop.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the stop was asked for.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for crates with a stop flag of their own.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

use std::io;

use futures::future::BoxFuture;
use perennial_gate::Report;
use perennial_types::{AdapterId, CycleId};

use super::{IntakeError, Origin};
use crate::{
    answers::{
        AdapterRow, AdapterShown, Anchor, CycleRow, CycleShown, Drift, IntakeReport, Lines, Listing, Pins,
        RequeueReport, Status, Stuck, Whom,
    },
    request_body::{BodyWriter, RequestBody},
};

/// An answer that may take a while.
pub(crate) type Asked<T> = BoxFuture<'static, Result<T, AskError>>;

/// The running daemon, for those who stand at its doors: all that HTTP knows of it.
pub(crate) trait Daemon: Send + Sync {
    /// Whether it takes work. Never waits for anything.
    fn readiness(&self) -> Readiness;

    /// What keeps training from getting on, where something does.
    fn stuck(&self) -> Asked<Option<Stuck>>;

    /// Everything that is measured, in Prometheus's text format.
    fn metrics(&self) -> Result<String, AskError>;

    /// A connection waits, since so many are open; whether that was not told for a while.
    fn connections_full(&self, max: usize, is_news: bool);

    /// How things stand.
    fn status(&self) -> Asked<Status>;

    /// What moved, as it was measured last.
    fn drift(&self) -> Asked<Drift>;

    /// Where the body of a request is gathered.
    fn body(&self) -> BodyWriter;

    /// What it means that a body could not be gathered.
    fn body_not_kept(&self, error: io::Error) -> IntakeError;

    /// Takes rows in; durable when this returns.
    fn take_rows(&self, rows: RequestBody, origin: Origin) -> BoxFuture<'static, Result<IntakeReport, IntakeError>>;

    /// What lies in quarantine.
    fn quarantine(&self) -> Asked<Listing>;

    /// The first lines of a file of refused rows.
    fn quarantined_rows(&self, file: String) -> Asked<Lines>;

    /// Takes the rows of a quarantine file in again.
    fn requeue_rows(&self, file: String) -> Asked<RequeueReport>;

    /// Gives a file that was refused as a whole back to the inbox.
    fn give_file_back(&self, file: String) -> Asked<()>;

    /// The newest first.
    fn adapters(&self) -> Asked<Vec<AdapterRow>>;

    fn adapter(&self, id: AdapterId) -> Asked<AdapterShown>;

    /// Puts an adapter in service by hand.
    fn promote(&self, adapter: AdapterId, reason: String) -> Asked<()>;

    /// Puts an earlier champion back in service, and says which; `None` is the base model without an adapter.
    fn roll_back(&self, to: Option<AdapterId>) -> Asked<Option<AdapterId>>;

    /// The anchor, and those before it.
    fn pins(&self) -> Asked<Pins>;

    fn pin(&self, whom: Whom, reason: String) -> Asked<Anchor>;

    /// The newest first, so many as fit an answer.
    fn cycles(&self) -> Asked<Vec<CycleRow>>;

    fn cycle(&self, id: CycleId) -> Asked<CycleShown>;

    /// What the gate says of an ended cycle under the configuration of now.
    fn decide_anew(&self, cycle: CycleId) -> Asked<Report>;

    /// Starts a cycle, or goes on with the unfinished one.
    fn start_cycle(&self) -> Asked<CycleId>;

    /// Aborts a cycle: it is asked for durably when this returns, and done at the cycle's next safe point.
    fn abort_cycle(&self, cycle: CycleId, reason: String) -> Asked<()>;

    /// A person's word on a candidate that waits: kept durably when this returns, and carried out then.
    fn answer_hold(&self, cycle: CycleId, approves: bool, reason: String) -> Asked<()>;

    /// Gives a cycle's samples back, and says how many.
    fn requeue(&self, cycle: CycleId) -> Asked<u64>;
}

/// Whether the daemon takes work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Readiness {
    /// It does; with what keeps training from getting on, when the loop last looked.
    Ready(Option<Stuck>),
    /// Not yet, or no longer.
    StartingOrStopping,
    /// Nothing is taken in until there is room.
    StorageFull,
    /// Production reads another adapter than the champion, and why.
    Unpublished(String),
}

/// Why the daemon does not answer, or does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It does not go with how things stand.
    #[error("{0}")]
    Refused(String),
    /// There is one cycle at a time.
    #[error("a cycle is under way: `perennial status` shows how far it is")]
    CycleUnderWay,
    /// No samples wait.
    #[error("{0}")]
    NothingToDo(String),
    /// The disk is full.
    #[error("{0}")]
    StorageFull(String),
    /// It stops.
    #[error("the daemon is stopping")]
    Stopping,
    /// A defect, or the registry does not answer.
    #[error("{0}")]
    Failed(String),
}

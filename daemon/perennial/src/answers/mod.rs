//! What the daemon and the command line tell: each answer once, as it is sent, read and printed. Nothing here does anything.

mod activity;
mod anchor;
mod cycles;
mod drift;
mod pin_schema;
mod quarantine;
mod requests;
mod rows;
pub(crate) mod schemas;
mod status;
mod stuck;

pub(crate) use self::{
    activity::{Activity, Blocked, IntakeTrouble, SetAside},
    anchor::{Anchor, Pins, SetPin, Whom, adapter_name, pin_reason},
    cycles::{AdapterRow, AdapterShown, CycleEnd, CycleRow, CycleShown, Held},
    drift::{Drift, DriftScore, PolicyDrift, RetainedScore, Retention, SuiteRetention},
    quarantine::{Entry, KeptFile, Lines, Listing},
    requests::{Abort, Aborting, Answered, BY_HAND, HoldWord, NO_REASON, Promote, Requeued, RollBack, Started},
    rows::{IntakeReport, REJECTIONS_NAMED_MAX, Rejection, RequeueReport, Untrained, Waiting},
    status::{BaseAnswerCounts, DomainSamples, Ready, Status},
    stuck::Stuck,
};

/// What was asked for does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no {0}")]
pub(crate) struct NotFound(pub(crate) String);

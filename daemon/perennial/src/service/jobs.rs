//! Work beside the loop, and what the loop makes of its end.

use std::time::Duration;

use perennial_drift::Cause;
use perennial_types::CycleId;
use tokio::{sync::oneshot, task::JoinError};
use tracing::error;

use super::{Service, inbox::Inbox, policy::Situation};
use crate::{
    answers::Drift,
    config::Reload,
    ports::{AskError, CycleEnd},
    told::told,
};

/// Work that is over.
#[allow(clippy::large_enum_variant, reason = "a few of them exist at a time")]
pub(super) enum Job {
    Cycle {
        cycle: Option<CycleId>,
        end: anyhow::Result<CycleEnd>,
    },
    /// A cycle that somebody asked for could not be begun, as they were told.
    Refused,
    /// The inbox is back, and should be looked at again so soon, if sooner than usual.
    Inbox(Inbox, anyhow::Result<Option<Duration>>),
    Index(anyhow::Result<u64>),
    LookAround(anyhow::Result<Situation>),
    Drift(Box<anyhow::Result<Drift>>),
    /// Something was asked and told.
    Told(anyhow::Result<()>),
    /// What the next cycle would fail by under the configuration in force.
    Check(anyhow::Result<()>),
    Reload(anyhow::Result<Reloaded>),
    /// A target of publishing was looked at, and should be again so soon.
    Followed(String, Duration),
}

/// A configuration that was read again.
pub(super) struct Reloaded {
    pub(super) reload: Box<Reload>,
    /// Whether a cycle can be begun under it.
    pub(super) check: anyhow::Result<()>,
}

/// What a cycle job begins with.
pub(super) enum Which {
    Begin(Cause),
    Continue(CycleId),
    /// Somebody asks for one: the unfinished one, else a new one.
    Asked(oneshot::Sender<Result<CycleId, AskError>>),
}

impl Service {
    /// Asks a question that may block, as a job.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        name: &'static str,
        question: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
        job: fn(anyhow::Result<T>) -> Job,
    ) {
        let questions = self.questions.clone();
        self.jobs.spawn(async move {
            let answer = questions.ask(name, question).await;
            job(answer.unwrap_or_else(|error| Err(error.into())))
        });
    }

    pub(super) fn finished(&mut self, job: Result<Job, JoinError>) {
        match job {
            Ok(Job::Cycle { cycle, end }) => self.cycle_finished(cycle, &end),
            Ok(Job::Refused) => {
                self.cycle_runs = false;
                self.look_around_soon();
            }
            Ok(Job::LookAround(answer)) => self.looked_around(answer),
            Ok(Job::Drift(measured)) => self.drift_measured(*measured),
            Ok(Job::Told(Ok(()))) => {}
            Ok(Job::Told(Err(problem))) => error!(error = told(&problem), "the registry does not answer"),
            Ok(Job::Inbox(inbox, again)) => self.looked(inbox, again),
            Ok(Job::Index(outcome)) => self.indexed(outcome),
            Ok(Job::Check(outcome)) => self.tell_check(&outcome),
            Ok(Job::Reload(outcome)) => self.reloaded(outcome),
            Ok(Job::Followed(target, again_in)) => self.followed(&target, again_in),
            // Jobs catch their own panics and are never aborted.
            Err(error) => error!(%error, "a job was lost"),
        }
    }
}

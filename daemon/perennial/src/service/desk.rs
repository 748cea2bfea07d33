use std::{fs::File, sync::Arc};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::work::on_plain_thread;
use crate::{
    ports::{Intake, IntakeError, IntakeReport, Origin, RequeueReport, Stop},
    request_body::RequestBody,
};

/// Small requests that are read at the same time. Each is over soon; most of it is waiting for the disk, together.
const LIGHT_MAX: usize = 32;

/// Requests that wait for their turn; beyond them, senders are told to come again.
const WAITING_MAX: usize = 256;

/// Lets files and requests through to the intake: large and compressed requests at a few desks, small ones at desks of their
/// own, so that nobody waits for a heavy one, and the inbox beside them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    intake: Arc<dyn Intake>,
    heavy: Arc<Semaphore>,
    light: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    taken: Arc<Notify>,
    /// Cancelled when the daemon stops.
    closed: CancellationToken,
}

/// Stops what is still under way when its sender is gone.
struct Leaving(Stop);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Desk {
    /// With so many desks for heavy requests.
    pub(crate) fn new(intake: Arc<dyn Intake>, heavy: usize) -> Self {
        let desks = |count| Arc::new(Semaphore::new(count));
        let (heavy, light, waiting) = (desks(heavy), desks(LIGHT_MAX), desks(WAITING_MAX));
        Self { intake, heavy, light, waiting, taken: Arc::default(), closed: CancellationToken::new() }
    }

    /// Takes an open file in. Blocks.
    pub(crate) fn take_file(&self, file: File, name: &str, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        let outcome = self.intake.take_file(file, name, stop);
        self.taken.notify_one();
        outcome
    }

    /// Stops the reading of requests: what was read of them is stored, and their senders are told to send them again.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Takes the rows of a request in. Dropping the future stops the reading.
    pub(crate) async fn take_rows(&self, mut rows: RequestBody, origin: Origin) -> Result<IntakeReport, IntakeError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| IntakeError::Busy)?;
        let lane = if rows.is_light() { &self.light } else { &self.heavy };
        let desk = tokio::select! {
            desk = Arc::clone(lane).acquire_owned() => desk.map_err(|_| IntakeError::Stopped)?,
            () = self.closed.cancelled() => return Err(IntakeError::Stopped),
        };
        let (intake, stop) = (Arc::clone(&self.intake), Stop::default());
        let leaving = Leaving(stop.clone());
        let outcome = on_plain_thread("intake", move || {
            // The thread holds the desk, not this future: it is free only once the reading has ended.
            let _desk = desk;
            intake.take_rows(&mut rows, &origin, &stop)
        });
        let mut outcome = std::pin::pin!(outcome);
        let outcome = tokio::select! {
            outcome = &mut outcome => outcome,
            () = self.closed.cancelled() => {
                drop(leaving);
                outcome.await
            }
        };
        let outcome = outcome.map_err(|error| IntakeError::Storage(error.into()));
        self.taken.notify_one();
        outcome?
    }

    /// Takes the rows of a quarantine file in again. Blocks.
    pub(crate) fn requeue(&self, file: &str) -> anyhow::Result<RequeueReport> {
        let outcome = self.intake.requeue(file);
        self.taken.notify_one();
        outcome
    }

    /// Returns once something was taken in since the last call returned.
    pub(crate) async fn taken(&self) {
        self.taken.notified().await;
    }
}

use futures::{FutureExt as _, future::BoxFuture};
use perennial_types::CycleId;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Desk, Questions};
use crate::ports::{AskError, Context, Ports};

/// What the running daemon can be asked for. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) context: Context,
    pub(super) desk: Desk,
    pub(super) commands: mpsc::Sender<Command>,
    ports: Ports,
    ready: watch::Receiver<bool>,
    questions: Questions,
}

/// Questions of requests that are answered at the same time.
const QUESTIONS_MAX: usize = 4;

/// What only the loop can do.
pub(super) enum Command {
    /// Start a cycle now.
    StartCycle(oneshot::Sender<Result<CycleId, AskError>>),
    /// Bring the cycle that is to be aborted to its end.
    EndCycle(CycleId),
    /// Carry out a person's word on the candidate of this cycle.
    CarryOut(CycleId),
}

impl Handle {
    pub(super) fn new(
        context: Context,
        ports: Ports,
        desk: Desk,
        commands: mpsc::Sender<Command>,
        ready: watch::Receiver<bool>,
    ) -> Self {
        Self { context, ports, desk, commands, ready, questions: Questions::new(QUESTIONS_MAX) }
    }

    /// Whether the daemon takes work.
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Asks something that may block.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Context, &Ports) -> anyhow::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, anyhow::Result<T>> {
        let (context, ports, questions) = (self.context.clone(), self.ports.clone(), self.questions.clone());
        async move { questions.ask("request", move || question(&context, &ports)).await? }.boxed()
    }
}

use perennial_types::{AdapterId, CycleId};
use tokio::sync::{mpsc, oneshot, watch};

use super::{BodyWriter, Desk, Questions, RequestBody, on_plain_thread};
use crate::{
    api::Status,
    ports::{Context, IntakeError, IntakeReport, NothingToDo, Origin, Ports, RequeueReport},
    stuck::{self, Stuck},
};

/// What the running daemon can be asked for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    context: Context,
    ports: Ports,
    desk: Desk,
    commands: mpsc::Sender<Command>,
    ready: watch::Receiver<bool>,
    questions: Questions,
}

/// Questions of requests that are answered at the same time.
const QUESTIONS_MAX: usize = 4;

/// What only the loop can do.
pub(super) enum Command {
    /// Start a cycle now.
    StartCycle(oneshot::Sender<Result<CycleId, Refusal>>),
    /// Bring the cycle that is to be aborted to its end.
    EndCycle(CycleId),
}

/// Why the daemon does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is one at a time.
    #[error("a cycle is under way: `perennial status` shows how far it is")]
    Running,
    /// No samples wait.
    #[error("{0}")]
    NothingToDo(NothingToDo),
    /// It was tried.
    #[error("{0}")]
    Failed(String),
    /// It stops.
    #[error("the daemon is stopping")]
    Stopping,
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
    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// What all parts share.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Starts a cycle.
    pub(crate) async fn start_cycle(&self) -> Result<CycleId, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::StartCycle(reply)).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// Where the body of a request is gathered.
    pub(crate) fn request_body(&self) -> BodyWriter {
        BodyWriter::new(self.context.state.root())
    }

    /// Takes rows in; durable when this returns.
    pub(crate) async fn take_rows(&self, rows: RequestBody, origin: Origin) -> Result<IntakeReport, IntakeError> {
        self.desk.take_rows(rows, origin).await
    }

    /// Takes the rows of a quarantine file in again.
    pub(crate) async fn requeue_quarantine(&self, file: String) -> anyhow::Result<RequeueReport> {
        let desk = self.desk.clone();
        on_plain_thread("requeue", move || desk.requeue(&file)).await?
    }

    /// How things stand.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        self.ask(|context, ports| {
            let board = context.telemetry.board();
            let mut status = crate::api::status(context, &*ports.cycles, Some(board.current()))?;
            status.intake = Some(board.intake());
            Ok(status)
        })
        .await
    }

    /// Puts an adapter in service by hand.
    pub(crate) async fn promote(&self, adapter: AdapterId, reason: String) -> anyhow::Result<()> {
        self.ask(move |_, ports| ports.cycles.promote(&adapter, &reason)).await
    }

    /// Puts an earlier champion back in service.
    pub(crate) async fn roll_back(&self, to: Option<AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        self.ask(move |_, ports| ports.cycles.roll_back(to.as_ref())).await
    }

    /// Aborts a cycle: it is asked for durably when this returns, and done at the cycle's next safe point.
    pub(crate) async fn abort_cycle(&self, cycle: CycleId, reason: String) -> anyhow::Result<()> {
        self.ask(move |_, ports| ports.cycles.request_abort(cycle, &reason)).await?;
        // A daemon that stops leaves it to the next one, which finds it in the registry.
        let _ = self.commands.send(Command::EndCycle(cycle)).await;
        Ok(())
    }

    /// What keeps training from getting on, where something does.
    pub(crate) async fn stuck(&self) -> anyhow::Result<Option<Stuck>> {
        self.ask(|context, ports| {
            let activity = context.telemetry.board().current();
            stuck::find(&context.registry, ports.cycles.waiting()?, Some(&activity))
        })
        .await
    }

    /// Gives a cycle's samples back.
    pub(crate) async fn requeue(&self, cycle: CycleId) -> anyhow::Result<u64> {
        self.ask(move |_, ports| ports.cycles.requeue(cycle)).await
    }

    /// Asks something that may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Context, &Ports) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (context, ports) = (self.context.clone(), self.ports.clone());
        self.questions.ask("request", move || question(&context, &ports)).await?
    }
}

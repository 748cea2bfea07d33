//! The daemon as its doors know it.

use std::io;

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use perennial_gate::Report;
use perennial_registry::RegistryError;
use perennial_types::{AdapterId, CycleId};
use tokio::sync::oneshot;

use super::{
    handle::{Command, Handle},
    work::on_plain_thread,
};
use crate::{
    answers::{
        AdapterRow, AdapterShown, Anchor, CycleRow, CycleShown, Drift, IntakeReport, Lines, Listing, NotFound, Pins,
        RequeueReport, Status, Stuck, Whom,
    },
    api, drift,
    intake::is_full,
    pin,
    ports::{AskError, Asked, Context, Daemon, IntakeError, Origin, Ports, Readiness},
    quarantine,
    request_body::{BodyWriter, RequestBody},
    stuck,
    telemetry::{ConnectionsFull, StorageFull},
    told::told,
};

impl Handle {
    /// Asks something that may block, for somebody at the doors.
    fn answer<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Context, &Ports) -> anyhow::Result<T> + Send + 'static,
    ) -> Asked<T> {
        self.ask(question).map_err(judged).boxed()
    }
}

impl Daemon for Handle {
    fn readiness(&self) -> Readiness {
        let board = self.context.telemetry.board();
        match self.context.publishing.unpublished() {
            _ if !self.is_ready() => Readiness::StartingOrStopping,
            _ if board.storage_full() => Readiness::StorageFull,
            Some(unpublished) => Readiness::Unpublished(unpublished.to_string()),
            // Whether it is ready must be told whatever the registry does.
            None => Readiness::Ready(board.stuck()),
        }
    }

    fn stuck(&self) -> Asked<Option<Stuck>> {
        self.answer(|context, ports| {
            let activity = context.telemetry.board().current();
            stuck::find(&context.registry, ports.cycles.waiting()?, Some(&activity))
        })
    }

    fn metrics(&self) -> Result<String, AskError> {
        self.context.telemetry.metrics().render().map_err(|error| judged(error.into()))
    }

    fn connections_full(&self, max: usize, is_news: bool) {
        self.context.telemetry.emit_quietly(ConnectionsFull { max, is_news });
    }

    fn status(&self) -> Asked<Status> {
        self.answer(|context, ports| {
            let board = context.telemetry.board();
            let mut status = api::status(context, &*ports.cycles, Some(board.current()))?;
            status.intake = Some(board.intake());
            Ok(status)
        })
    }

    fn drift(&self) -> Asked<Drift> {
        self.answer(|context, _| drift::last(&context.state))
    }

    fn body(&self) -> BodyWriter {
        BodyWriter::new(self.context.state.root())
    }

    fn body_not_kept(&self, error: io::Error) -> IntakeError {
        let error = anyhow::Error::from(error).context("there is no room for the request");
        if !is_full(&error) {
            return IntakeError::Storage(error);
        }
        self.context.telemetry.emit(StorageFull(true));
        IntakeError::StorageFull(error)
    }

    fn take_rows(&self, rows: RequestBody, origin: Origin) -> BoxFuture<'static, Result<IntakeReport, IntakeError>> {
        let desk = self.desk.clone();
        async move { desk.take_rows(rows, origin).await }.boxed()
    }

    fn quarantine(&self) -> Asked<Listing> {
        self.answer(|context, _| quarantine::list(&context.state))
    }

    fn quarantined_rows(&self, file: String) -> Asked<Lines> {
        self.answer(move |context, _| quarantine::show(&context.state, &file))
    }

    fn requeue_rows(&self, file: String) -> Asked<RequeueReport> {
        let desk = self.desk.clone();
        let requeued = on_plain_thread("requeue", move || desk.requeue(&file));
        async move { requeued.await.map_err(anyhow::Error::from).flatten().map_err(judged) }.boxed()
    }

    fn give_file_back(&self, file: String) -> Asked<()> {
        self.answer(move |context, _| quarantine::give_back(&context.state, &file))
    }

    fn adapters(&self) -> Asked<Vec<AdapterRow>> {
        self.answer(|context, _| api::adapters(&context.registry))
    }

    fn adapter(&self, id: AdapterId) -> Asked<AdapterShown> {
        self.answer(move |context, _| api::adapter(&context.state, &context.registry, &id))
    }

    fn promote(&self, adapter: AdapterId, reason: String) -> Asked<()> {
        self.answer(move |_, ports| ports.cycles.promote(&adapter, &reason))
    }

    fn roll_back(&self, to: Option<AdapterId>) -> Asked<Option<AdapterId>> {
        self.answer(move |_, ports| ports.cycles.roll_back(to.as_ref()))
    }

    fn pins(&self) -> Asked<Pins> {
        self.answer(|context, _| pin::pins(&context.registry))
    }

    fn pin(&self, whom: Whom, reason: String) -> Asked<Anchor> {
        self.answer(move |context, _| pin::set(context, &whom, &reason))
    }

    fn cycles(&self) -> Asked<Vec<CycleRow>> {
        self.answer(|context, _| api::cycles(&context.registry))
    }

    fn cycle(&self, id: CycleId) -> Asked<CycleShown> {
        self.answer(move |context, _| api::cycle(&context.state, &context.registry, id))
    }

    fn decide_anew(&self, cycle: CycleId) -> Asked<Report> {
        self.answer(move |_, ports| ports.cycles.decide_anew(cycle))
    }

    fn start_cycle(&self) -> Asked<CycleId> {
        let commands = self.commands.clone();
        let start = async move {
            let (reply, answer) = oneshot::channel();
            commands.send(Command::StartCycle(reply)).await.map_err(|_| AskError::Stopping)?;
            answer.await.map_err(|_| AskError::Stopping)?
        };
        start.boxed()
    }

    fn abort_cycle(&self, cycle: CycleId, reason: String) -> Asked<()> {
        let (commands, asked) =
            (self.commands.clone(), self.answer(move |_, ports| ports.cycles.request_abort(cycle, &reason)));
        let abort = async move {
            asked.await?;
            // A daemon that stops leaves it to the next one, which finds it in the registry.
            let _ = commands.send(Command::EndCycle(cycle)).await;
            Ok(())
        };
        abort.boxed()
    }

    fn answer_hold(&self, cycle: CycleId, approves: bool, reason: String) -> Asked<()> {
        let (commands, asked) =
            (self.commands.clone(), self.answer(move |_, ports| ports.cycles.answer_hold(cycle, approves, &reason)));
        let answer = async move {
            asked.await?;
            // A daemon that stops leaves it to the next one, which finds it in the registry.
            let _ = commands.send(Command::CarryOut(cycle)).await;
            Ok(())
        };
        answer.boxed()
    }

    fn requeue(&self, cycle: CycleId) -> Asked<u64> {
        self.answer(move |_, ports| ports.cycles.requeue(cycle))
    }
}

/// What an error means to whoever asked.
fn judged(error: anyhow::Error) -> AskError {
    let text = told(&error);
    if is_full(&error) {
        return AskError::StorageFull(text);
    }
    if error.is::<NotFound>() {
        return AskError::NotFound(text);
    }
    match error.downcast_ref::<RegistryError>() {
        Some(RegistryError::UnknownAdapter(_) | RegistryError::UnknownCycle(_)) => AskError::NotFound(text),
        Some(RegistryError::Sqlite(_) | RegistryError::Open { .. } | RegistryError::Create { .. }) | None => {
            AskError::Failed(text)
        }
        // All else that the registry says is about what was asked for, not about the registry.
        Some(_) => AskError::Refused(text),
    }
}

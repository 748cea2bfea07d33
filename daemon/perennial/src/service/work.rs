//! Work that blocks, awaited from the async side: long work on a thread of its own, short questions a few at a time.

use std::{sync::Arc, thread};

use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
};

use crate::failure::{Panicked, caught, panic_message};

/// Enough for the deepest recursion that a training step's backward pass makes in an unoptimised build. Only what is
/// used of it is ever backed by memory.
const STACK_BYTES: usize = 256 << 20;

/// Why work came to no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The thread could not be started.
    #[error("no thread for {0}")]
    NoThread(&'static str, #[source] std::io::Error),
    /// The work panicked: a defect in this program.
    #[error("{0} panicked: {1}")]
    Panicked(&'static str, String),
    /// The runtime ended before the work began.
    #[error("{0} was not begun: the daemon is stopping")]
    Stopping(&'static str),
}

/// Enough for rows, files and the registry: there may be many such threads.
const PLAIN_STACK_BYTES: usize = 8 << 20;

/// Does the work on a thread of this name (15 characters at most are shown) with a stack for training, and waits for its
/// result. Dropping the future does not stop the work: that is what [`Stop`](crate::ports::Stop) is for.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
    on_stack(name, STACK_BYTES, work).await
}

/// As [`on_thread`], for work that calculates nothing.
pub(crate) async fn on_plain_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
    on_stack(name, PLAIN_STACK_BYTES, work).await
}

async fn on_stack<T: Send + 'static>(
    name: &'static str,
    stack_bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
    let (done, result) = oneshot::channel();
    let run = move || {
        let _ = done.send(caught(work));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_bytes)
        .spawn(run)
        .map_err(|error| WorkError::NoThread(name, error))?;
    match result.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Panicked(message))) => Err(WorkError::Panicked(name, message)),
        Err(_) => Err(WorkError::Panicked(name, "the thread is gone".to_owned())),
    }
}

/// Answers short questions that block (the registry, small files) on the runtime's threads for such, with stacks of the
/// usual size, a bounded number at a time; further ones wait their turn. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Questions {
    turns: Arc<Semaphore>,
}

impl Questions {
    /// So many at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Waits for a turn, and then for the answer. Once begun, a question is answered even if nobody waits any longer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| WorkError::Stopping(name))?;
        let answer = spawn_blocking(move || {
            let _turn = turn;
            question()
        });
        answer.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => WorkError::Panicked(name, panic_message(&*panic)),
            Err(_) => WorkError::Stopping(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(on_thread("test", || 7).await.unwrap(), 7);
        let error = on_thread("test", || -> u8 { panic!("bad {}", 1) }).await.unwrap_err();
        assert_eq!(error.to_string(), "test panicked: bad 1");
        let questions = Questions::new(1);
        let error = questions.ask("question", || -> u8 { panic!("bad {}", 2) }).await.unwrap_err();
        assert_eq!(error.to_string(), "question panicked: bad 2");
        assert_eq!(questions.ask("question", || 8).await.unwrap(), 8, "a panic gives its turn back");
    }

    #[tokio::test]
    async fn only_so_many_questions_are_answered_at_a_time() {
        let (questions, now, most) = (Questions::new(2), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let one = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            questions.ask("question", move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(20));
                now.fetch_sub(1, SeqCst);
            })
        };
        for answer in futures::future::join_all((0..8).map(|_| one())).await {
            answer.unwrap();
        }
        assert_eq!(most.load(SeqCst), 2);
    }
}

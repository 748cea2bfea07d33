use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use perennial_types::panic_text;

use crate::{GroupVerdict, Panel, Task, text::cut};

/// A group that was judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The number that it was submitted with.
    pub index: usize,
    /// Who judged it.
    pub panel: Panel,
    /// One prompt, with all completions that are judged together.
    pub task: Task,
    /// What was said.
    pub verdict: GroupVerdict,
}

/// Why groups were not judged. The host is at fault: whatever a plugin does ends in an [`Outcome`](crate::Outcome).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The system gives no thread.
    #[error("no thread to score completions with: {0}; give this service more tasks, or lower reward.threads")]
    NoThread(String),
    /// Scoring a group panicked.
    #[error("scoring group {index} panicked: {message}; this is a fault of the program")]
    Panicked {
        /// The number of the group.
        index: usize,
        /// What the panic said.
        message: String,
    },
}

/// Takes groups to score while more are generated. See [`pool`].
pub struct Pool {
    queue: SyncSender<Group>,
}

type Group = (usize, Panel, Task);
type Queue = Arc<Mutex<Receiver<Group>>>;

/// The length of a panic's message, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// Runs `feed` on this thread while `threads` others score what it submits, and gives back what `feed` returned and every
/// group with its verdict, in the order of their numbers. Which thread scored a group does not show in the result.
///
/// # Errors
/// Beside what `feed` returned: where a group could not be scored, the one of the least number. The others are scored
/// nevertheless, so that `feed` is never left waiting.
pub fn pool<R>(threads: NonZeroUsize, feed: impl FnOnce(&Pool) -> R) -> (R, Result<Vec<Judged>, PoolError>) {
    scored_by(threads, |panel, task| panel.score(task), feed)
}

fn scored_by<R>(
    threads: NonZeroUsize,
    score: impl Fn(&Panel, &Task) -> GroupVerdict + Sync,
    feed: impl FnOnce(&Pool) -> R,
) -> (R, Result<Vec<Judged>, PoolError>) {
    let (sender, receiver) = sync_channel(threads.get());
    let queue: Queue = Arc::new(Mutex::new(receiver));
    let judged = Mutex::new(Vec::new());
    let (fed, started) = thread::scope(|scope| {
        let start = |_| {
            // Each has a share in the queue: were they all to end, it would end too, and nobody would wait for room in it.
            let (queue, judged, score) = (Arc::clone(&queue), &judged, &score);
            let builder = thread::Builder::new().name("reward".to_owned());
            builder.spawn_scoped(scope, move || work(&queue, score, judged)).map(|_| ())
        };
        let started: Vec<_> = (0..threads.get()).map(start).collect();
        drop(queue);
        (feed(&Pool { queue: sender }), started)
    });
    let mut judged: Vec<_> = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    judged.sort_by_key(|(index, _)| *index);
    let verdicts = judged.into_iter().map(|(_, judged)| judged).collect::<Result<Vec<_>, _>>();
    if started.iter().any(Result::is_ok) {
        return (fed, verdicts);
    }
    let problem = started.into_iter().find_map(Result::err).map(|error| error.to_string()).unwrap_or_default();
    (fed, Err(PoolError::NoThread(problem)))
}

fn work(
    queue: &Queue,
    score: &(impl Fn(&Panel, &Task) -> GroupVerdict + Sync),
    judged: &Mutex<Vec<(usize, Result<Judged, PoolError>)>>,
) {
    // The lock is held while waiting, and free while scoring.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok((index, panel, task)) = next() {
        let verdict = catch_unwind(AssertUnwindSafe(|| score(&panel, &task)));
        let done = match verdict {
            Ok(verdict) => Ok(Judged { index, panel, task, verdict }),
            Err(panic) => Err(PoolError::Panicked {
                index,
                message: cut(panic_text(&*panic).unwrap_or("without a message"), MESSAGE_BYTES_MAX),
            }),
        };
        judged.lock().unwrap_or_else(PoisonError::into_inner).push((index, done));
    }
}

impl Pool {
    /// Hands over a group with its judges and a number of the caller's own to know it by. Waits while as many groups as
    /// there are threads are waiting already, so that nothing piles up.
    pub fn submit(&self, index: usize, panel: &Panel, task: Task) {
        // Where nobody scores any more, the pool's own result says so.
        let _ = self.queue.send((index, panel.clone(), task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn verdict() -> GroupVerdict {
        GroupVerdict { per_member: Vec::new(), rewards: Vec::new() }
    }

    fn submit(pool: &Pool, groups: usize) {
        (0..groups).for_each(|index| pool.submit(index, &Panel::default(), Task::default()));
    }

    #[test]
    fn a_panic_while_scoring_ends_in_an_error_and_leaves_nobody_waiting() {
        // Far more groups than threads: with a thread lost for each, the queue would fill for good.
        let panics = |_: &Panel, _: &Task| -> GroupVerdict { panic!("out of order") };
        let (fed, judged) = scored_by(THREADS, panics, |pool| {
            submit(pool, 20);
            "fed"
        });
        assert_eq!(fed, "fed");
        assert_eq!(judged.unwrap_err(), PoolError::Panicked { index: 0, message: "out of order".to_owned() });
    }

    #[test]
    fn groups_come_back_in_their_order() {
        let (_, judged) = scored_by(THREADS, |_, _| verdict(), |pool| submit(pool, 20));
        let order: Vec<usize> = judged.unwrap().into_iter().map(|judged| judged.index).collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }
}

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{GroupVerdict, Panel, Task};

/// A group that was judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The number that it was submitted with.
    pub index: usize,
    /// Who judged it.
    pub panel: Panel,
    /// The group.
    pub task: Task,
    /// What was said.
    pub verdict: GroupVerdict,
}

/// Takes groups to score while more are generated. See [`pool`].
pub struct Pool {
    queue: SyncSender<(usize, Panel, Task)>,
}

/// Runs `feed` on this thread while `threads` others score what it submits, and gives back what `feed` returned and every
/// group with its verdict, in the order of their numbers. Which thread scored a group does not show in the result.
pub fn pool<R>(threads: NonZeroUsize, feed: impl FnOnce(&Pool) -> R) -> (R, Vec<Judged>) {
    let (sender, receiver) = sync_channel(threads.get());
    let queue = Mutex::new(receiver);
    let judged = Mutex::new(Vec::new());
    let fed = std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| work(&queue, &judged));
        }
        let pool = Pool { queue: sender };
        feed(&pool)
    });
    let mut judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    judged.sort_by_key(|judged| judged.index);
    (fed, judged)
}

fn work(queue: &Mutex<Receiver<(usize, Panel, Task)>>, judged: &Mutex<Vec<Judged>>) {
    // The lock is held while waiting, and free while scoring.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok((index, panel, task)) = next() {
        let verdict = panel.score(&task);
        judged.lock().unwrap_or_else(PoisonError::into_inner).push(Judged { index, panel, task, verdict });
    }
}

impl Pool {
    /// Hands over a group with its judges and a number of the caller's own to know it by. Waits while as many groups as
    /// there are threads are waiting already, so that nothing piles up.
    pub fn submit(&self, index: usize, panel: &Panel, task: Task) {
        // The receiver outlives this pool: the send cannot fail.
        let _ = self.queue.send((index, panel.clone(), task));
    }
}

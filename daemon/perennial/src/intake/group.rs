use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use super::commit::{Batch, CommitError, Committed, Store, lock};
use crate::ports::Context;

/// The samples of a group at most.
const GROUP_ROWS_MAX: usize = 4096;

/// The text of a group at most, in bytes.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Batches above this share of a group are stored by themselves, so that the small ones never wait for a large one.
const LARGE_SHARE: usize = 4;

/// Stores batches, the small ones in groups: whoever comes while a group is being stored waits and is part of the next, so
/// that many requests share one segment, its syncs and one transaction. The first of those who wait stores for all of them.
pub(super) struct Committer {
    store: Store,
    queue: Mutex<Queue>,
    /// A group is stored.
    turned: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether somebody is storing a group.
    led: bool,
}

struct Waiting {
    batch: Batch,
    answer: Answer,
}

/// Where the outcome of a batch is left for who waits for it.
type Answer = Arc<Mutex<Option<Result<Committed, CommitError>>>>;

impl Committer {
    pub(super) fn new(context: Context) -> Self {
        Self { store: Store::new(context), queue: Mutex::default(), turned: Condvar::new() }
    }

    /// Stores a batch; when this returns `Ok`, all of it is durable and catalogued.
    pub(super) fn submit(&self, batch: Batch) -> Result<Committed, CommitError> {
        let large = batch.samples.len() > GROUP_ROWS_MAX / LARGE_SHARE || batch.bytes > GROUP_BYTES_MAX / LARGE_SHARE;
        if large {
            return Ok(self.store.commit(vec![batch])?.pop().unwrap_or_default());
        }
        let answer = Answer::default();
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(Waiting { batch, answer: Arc::clone(&answer) });
        loop {
            if let Some(outcome) = lock(&answer).take() {
                return outcome;
            }
            if queue.led {
                queue = self.turned.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.led = true;
            let group = next_group(&mut queue.waiting);
            drop(queue);
            self.lead(group);
            queue = lock(&self.queue);
        }
    }

    fn lead(&self, group: Vec<Waiting>) {
        let (batches, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|Waiting { batch, answer }| (batch, answer)).unzip();
        let turn = Turn { committer: self, answers };
        let outcomes = self.store_group(batches);
        for (answer, outcome) in turn.answers.iter().zip(outcomes) {
            *lock(answer) = Some(outcome);
        }
    }

    /// Stores a group. Where that fails for another reason than a full disk, each batch is tried by itself, so that one that
    /// cannot be stored does not take the others with it.
    pub(super) fn store_group(&self, mut batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        if batches.len() > 1 {
            match self.store.commit(batches.clone()) {
                Ok(committed) => return committed.into_iter().map(Ok).collect(),
                Err(error) if error.full => return batches.iter().map(|_| Err(error.clone())).collect(),
                Err(_) => {}
            }
        }
        let alone = |batch| Ok(self.store.commit(vec![batch])?.pop().unwrap_or_default());
        batches.drain(..).map(alone).collect()
    }
}

/// The batches that go together next, in the order in which they came.
fn next_group(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let (mut count, mut rows, mut bytes) = (0, 0, 0);
    for next in waiting.iter() {
        rows += next.batch.samples.len();
        bytes += next.batch.bytes;
        if rows > GROUP_ROWS_MAX || bytes > GROUP_BYTES_MAX {
            break;
        }
        count += 1;
    }
    waiting.drain(..count).collect()
}

/// A group's turn. However it ends, all who wait are answered and the next group may begin.
struct Turn<'a> {
    committer: &'a Committer,
    answers: Vec<Answer>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for answer in &self.answers {
            lock(answer).get_or_insert_with(|| {
                Err(CommitError { text: "storing rows broke off: a defect in this program".to_owned(), full: false })
            });
        }
        lock(&self.committer.queue).led = false;
        self.committer.turned.notify_all();
    }
}

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{Plugin, Scoring, Task};

/// Several plugins that judge together.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The plugins, each with its weight.
    pub members: Vec<Member>,
}

/// One plugin of a [`Panel`].
#[derive(Clone, Debug)]
pub struct Member {
    /// The plugin.
    pub plugin: Plugin,
    /// What its rewards are multiplied with in the sum.
    pub weight: f64,
}

/// What a [`Panel`] says about one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupVerdict {
    /// One scoring per member, in the panel's order.
    pub per_member: Vec<Scoring>,
    /// For each sample the sum of weight times reward over the members that scored it; `None` where none did.
    pub rewards: Vec<Option<f64>>,
}

impl Panel {
    /// Asks every member about a group, one after another, on this thread.
    pub fn score(&self, task: &Task) -> GroupVerdict {
        let per_member: Vec<Scoring> = self.members.iter().map(|member| member.plugin.score(task)).collect();
        let weights: Vec<f64> = self.members.iter().map(|member| member.weight).collect();
        let rewards = (0..task.samples.len()).map(|sample| weighted_sum(&weights, &per_member, sample)).collect();
        GroupVerdict { per_member, rewards }
    }

    /// Runs `feed` on this thread while `threads` others score what it submits, and gives back what `feed` returned and all
    /// verdicts in the order of submission. Which thread scored a group does not show in the result.
    pub fn pool<R>(&self, threads: NonZeroUsize, feed: impl FnOnce(&Pool) -> R) -> (R, Vec<(usize, GroupVerdict)>) {
        let (sender, receiver) = sync_channel(threads.get());
        let queue = Mutex::new(receiver);
        let verdicts = Mutex::new(Vec::new());
        let fed = std::thread::scope(|scope| {
            for _ in 0..threads.get() {
                scope.spawn(|| self.work(&queue, &verdicts));
            }
            let pool = Pool { queue: sender, submitted: std::cell::Cell::new(0) };
            feed(&pool)
        });
        let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        verdicts.sort_unstable_by_key(|(order, _, _)| *order);
        (fed, verdicts.into_iter().map(|(_, index, verdict)| (index, verdict)).collect())
    }

    fn work(&self, queue: &Mutex<Receiver<Submitted>>, verdicts: &Mutex<Vec<(u64, usize, GroupVerdict)>>) {
        // The lock is held while waiting, and free while scoring.
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(Submitted { order, index, task }) = next() {
            let verdict = self.score(&task);
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((order, index, verdict));
        }
    }
}

struct Submitted {
    order: u64,
    index: usize,
    task: Task,
}

/// Takes groups to score while more are generated. See [`Panel::pool`].
pub struct Pool {
    queue: SyncSender<Submitted>,
    submitted: std::cell::Cell<u64>,
}

impl Pool {
    /// Hands over a group, with a number of the caller's own to know it by. Waits while as many groups as there are threads
    /// are waiting already, so that nothing piles up.
    pub fn submit(&self, index: usize, task: Task) {
        let order = self.submitted.get();
        self.submitted.set(order + 1);
        // The receiver outlives this pool: the send cannot fail.
        let _ = self.queue.send(Submitted { order, index, task });
    }
}

fn weighted_sum(weights: &[f64], scorings: &[Scoring], sample: usize) -> Option<f64> {
    let rewards = scorings.iter().map(|scoring| scoring.outcomes.get(sample).and_then(|outcome| outcome.reward()));
    weights.iter().zip(rewards).fold(None, |sum, (weight, reward)| match reward {
        Some(reward) => Some(sum.unwrap_or(0.0) + weight * reward),
        None => sum,
    })
}

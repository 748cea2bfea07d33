use std::time::Duration;

use perennial_types::{AdapterId, Fingerprint};

use crate::{PublishError, Wish};

/// One target: something outside that should serve the champion. Calls block. One thread at a time tells it; what it serves
/// may be looked at beside that.
pub trait Publisher: Send + Sync {
    /// The name it was configured with, unique among all targets: a label of metrics.
    fn name(&self) -> &str;

    /// The fingerprint of where the target is. One that has moved has been told nothing yet.
    fn place(&self) -> Fingerprint;

    /// Whether it is part of this machine, or may let one wait.
    fn reach(&self) -> Reach;

    /// How often a change is tried, and in which intervals.
    fn tries(&self) -> Tries;

    /// Makes the target serve the wish. Done twice, it is as if it was done once: a crash may come before it is recorded.
    ///
    /// # Errors
    /// Where the target does not serve it, or does not say so.
    fn publish(&self, wish: &Wish) -> Result<(), PublishError>;

    /// What the target serves: of a target that has several adapters at a time, whether it has the one that is wished.
    ///
    /// # Errors
    /// Where it cannot be told, though it should be.
    fn observe(&self, wish: &Wish) -> Result<Observed, PublishError>;

    /// Whether the target could be told of a champion, as far as that shows without telling it. Returns where it is, in words
    /// without a secret.
    ///
    /// # Errors
    /// What stands against it.
    fn check(&self) -> Result<String, PublishError>;
}

/// Where a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On this machine: whoever changes the champion waits until it follows.
    Local,
    /// Behind a network: it follows on a thread of its own.
    Remote,
}

/// What a target was seen to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// This adapter, or the base model where it is `None`.
    Serves(Option<AdapterId>),
    /// It cannot be asked: what was last recorded of it counts.
    Untold,
}

/// How a change is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// How long it is waited after the first failure; twice as long after each further one …
    pub pause_first: Duration,
    /// … up to this.
    pub pause_max: Duration,
    /// After so many failures it is given up until something changes; `None`: never, which only a target may ask for that is
    /// missed by everybody while it is behind.
    pub attempts_max: Option<u32>,
}

impl Tries {
    /// How long it is waited after so many failures, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.pause_first.saturating_mul(2_u32.pow(doublings)).min(self.pause_max)
    }

    /// Whether no more tries are left after so many.
    pub fn are_over(&self, attempts: u32) -> bool {
        self.attempts_max.is_some_and(|most| attempts >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let tries =
            Tries { pause_first: Duration::from_secs(5), pause_max: Duration::from_secs(900), attempts_max: Some(3) };
        assert_eq!([1, 2, 3, 9, 99].map(|failures| tries.pause(failures).as_secs()), [5, 10, 20, 900, 900]);
        assert!(!tries.are_over(2) && tries.are_over(3));
    }
}

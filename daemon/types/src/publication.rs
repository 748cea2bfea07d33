use serde::{Deserialize, Serialize};

use crate::{AdapterId, Fingerprint};

/// What a target of publishing serves, and what it should: one row of the table `publications`. Times are milliseconds since
/// the Unix epoch; changes of the champion go by their number, from 1, and 0 stands for the time before the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The target's name.
    pub target: String,
    /// The fingerprint of where it is: a target that was moved has been told nothing yet.
    pub place: Fingerprint,
    /// The change of the champion that it should have followed.
    pub wished: u64,
    /// The champion of that change; `None` is the base model.
    pub wished_adapter: Option<AdapterId>,
    /// The change that it has followed; `None` where it serves something else, or nobody knows what.
    pub served: Option<u64>,
    /// What it serves, as far as that is known; `None` is the base model too.
    pub served_adapter: Option<AdapterId>,
    /// Since when it follows, or does not.
    pub since_ms: i64,
    /// Tries to make it follow this change, each counted before it begins.
    pub attempts: u32,
    /// When the next try comes by itself; `None` where none does.
    pub next_ms: Option<i64>,
    /// What the last try failed by.
    pub error: Option<String>,
}

impl Publication {
    /// Whether the target serves something else than the champion.
    pub fn is_behind(&self) -> bool {
        self.served != Some(self.wished)
    }

    /// Whether no further try comes by itself.
    pub fn is_given_up(&self) -> bool {
        self.is_behind() && self.error.is_some() && self.next_ms.is_none()
    }
}

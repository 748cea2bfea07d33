//! What events and metrics know by the same name.

use perennial_registry::Phase as State;

/// A cycle's phases as work under way. (The registry records the states that they end in: `train` ends in `trained`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Choosing the new samples.
    Collect,
    /// Drawing and freezing the training set.
    Mix,
    /// Training the candidate.
    Train,
    /// Scoring champion and candidate.
    Evaluate,
    /// The gate's decision.
    Decide,
    /// Putting the new champion where production reads it.
    Publish,
}

impl From<State> for Phase {
    /// The work that ends in this state.
    fn from(state: State) -> Self {
        match state {
            State::Collected => Self::Collect,
            State::Mixed => Self::Mix,
            State::Trained => Self::Train,
            State::Evaluated => Self::Evaluate,
            State::Decided => Self::Decide,
            State::Published => Self::Publish,
        }
    }
}

impl Phase {
    /// Every phase, in order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Collect, Self::Mix, Self::Train, Self::Evaluate, Self::Decide, Self::Publish];

    /// The name in logs, metrics and the status.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Mix => "mix",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Decide => "decide",
            Self::Publish => "publish",
        }
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// All of its rows were read, and those that were refused are in quarantine.
    Taken,
    /// Not rows at all: moved to quarantine.
    Quarantined,
    /// Could not be stored or moved; it is tried again.
    Failed,
    /// Failed too often: it is tried no more until it changes.
    SetAside,
}

impl FileOutcome {
    pub(crate) const ALL: [Self; 4] = [Self::Taken, Self::Quarantined, Self::Failed, Self::SetAside];

    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::SetAside => "set_aside",
        }
    }
}

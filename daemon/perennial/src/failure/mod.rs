//! What is to be done about an error of a cycle, by its type: tried again, or not.
//!
//! An error is final where the cycle, which keeps its configuration, its mix and its plugins, would come to it again however
//! often it were tried. All others may pass: disks fill and are emptied, servers go and come back. What is not known here is
//! taken to be of that kind, since tries are bounded.

mod by_type;

use std::{any::Any, panic::AssertUnwindSafe};

use perennial_types::panic_text;

use self::by_type::{Verdict, verdict};

use crate::told::{sentence, told};

/// An error that no further try of the same cycle would mend.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Final {
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Final {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

/// The work panicked: a defect in this program.
#[derive(Debug, thiserror::Error)]
#[error("the program failed in itself: {0}")]
pub(crate) struct Panicked(pub(crate) String);

/// Does work whose panic must not be felt beyond it.
///
/// # Errors
/// Where it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Panicked(panic_message(&*panic)))
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic_text(panic).unwrap_or("without a message").to_owned()
}

/// What an error means for its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It may pass.
    Transient,
    /// It will not.
    Final,
    /// A defect in this program. It may pass, and counts as a try.
    Panic,
}

impl FailureKind {
    pub(crate) const ALL: [Self; 3] = [Self::Transient, Self::Final, Self::Panic];

    /// The name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Final => "final",
            Self::Panic => "panic",
        }
    }
}

/// An error of a cycle, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What it means.
    pub(crate) kind: FailureKind,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do about it; empty where the reason says all that is known.
    pub(crate) remedy: String,
}

impl Failure {
    /// Judges an error by the outermost of its causes whose type tells.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let verdict = error.chain().find_map(verdict).unwrap_or(Verdict::MayPass);
        let (kind, remedy) = match verdict {
            Verdict::MayPass => (FailureKind::Transient, String::new()),
            Verdict::Final(remedy) => (FailureKind::Final, remedy),
            Verdict::Panic => (FailureKind::Panic, "the log has the place in the program: please report it".to_owned()),
        };
        Self { kind, reason: told(error), remedy }
    }

    /// Reason and remedy in one sentence.
    pub(crate) fn sentence(&self) -> String {
        sentence(&self.reason, &self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use perennial_learn::{
        adapter::{AdapterError, Kind, LoraConfig},
        train::{TrainError, check_shape},
    };
    use perennial_reward::{PoolError, TooManyFaults};
    use reqwest::StatusCode;

    use super::*;
    use crate::rollout_error::RolloutServerError;

    fn kind(error: impl Into<anyhow::Error>) -> FailureKind {
        Failure::of(&error.into()).kind
    }

    fn disk_full() -> std::io::Error {
        std::io::Error::from(std::io::ErrorKind::StorageFull)
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        assert_eq!(kind(disk_full()), FailureKind::Transient);
        assert_eq!(kind(anyhow!("something that nobody foresaw")), FailureKind::Transient);
        let io = TrainError::Io { action: "write", path: "a".into(), source: disk_full() };
        assert_eq!(kind(anyhow::Error::from(io).context("training")), FailureKind::Transient);
        let server = TrainError::Environment { step: 1, source: anyhow!("no answer from http://x").into() };
        assert_eq!(kind(server), FailureKind::Transient);
        let panicked = caught(|| panic!("index {} out of bounds", 1)).unwrap_err();
        assert!(panicked.to_string().ends_with("index 1 out of bounds"));
        assert_eq!(kind(panicked), FailureKind::Panic);
    }

    #[test]
    fn what_a_cycle_would_come_to_again_is_final_however_deep_it_lies() {
        let diverged = TrainError::NotFinite { what: "the loss", step: 2, examples: vec![1] };
        let failure = Failure::of(&Err::<(), _>(diverged).context("the candidate").unwrap_err());
        assert_eq!(failure.kind, FailureKind::Final);
        assert!(failure.remedy.contains("train.learning_rate"), "{failure:?}");
        let mismatch = TrainError::Adapter(AdapterError::Mismatch("2 layers".to_owned()));
        assert_eq!(kind(mismatch), FailureKind::Final, "a transparent error is looked into");
        let refused = TooManyFaults {
            plugin: "p".to_owned(),
            failed: 2,
            samples: 2,
            max_fault_ratio: 0.1,
            sample: "0".to_owned(),
            outcome: perennial_reward::OutcomeKind::Faulted,
            message: String::new(),
        };
        let within = TrainError::Environment { step: 1, source: refused.into() };
        assert_eq!(kind(within), FailureKind::Final, "what draws the rollouts tells its own kind");
    }

    #[test]
    fn a_rollout_server_may_be_there_again_and_what_it_refuses_it_refuses_again() {
        let kind_of = |status| {
            let refused = RolloutServerError::Refused { url: "http://x".to_owned(), status, text: String::new() };
            // As the learner gets it of what draws the rollouts.
            let source = anyhow::Error::from(refused).context("no completions to learn from").into();
            kind(TrainError::Environment { step: 1, source })
        };
        assert_eq!(kind_of(StatusCode::SERVICE_UNAVAILABLE), FailureKind::Transient);
        assert_eq!(kind_of(StatusCode::TOO_MANY_REQUESTS), FailureKind::Transient);
        assert_eq!(kind_of(StatusCode::BAD_REQUEST), FailureKind::Final);
        let panicked = PoolError::Panicked { index: 0, message: String::new() };
        assert_eq!(kind(TrainError::Environment { step: 1, source: panicked.into() }), FailureKind::Panic);
    }

    #[test]
    fn another_shape_names_the_keys_and_the_way_out() {
        let champion = LoraConfig::default();
        let config = LoraConfig { r: 8, alpha: 16.0, ..champion.clone() };
        let failure = Failure::of(&check_shape(&champion, &config).unwrap_err().into());
        assert_eq!(
            failure.sentence(),
            "training: the parent adapter has another shape: r is 16 in the adapter and 8 in the configuration, alpha is 32 in \
             the adapter and 16 in the configuration; to mend it: set train.r = 16 and train.alpha = 32, keep what it learned \
             with train.start = \"rebase\", or train afresh with train.start = \"fresh\""
        );
        let dora = LoraConfig { kind: Kind::DORA, ..champion.clone() };
        let failure = Failure::of(&check_shape(&champion, &dora).unwrap_err().into());
        assert_eq!(failure.remedy, "set train.use_dora = false, or train afresh with train.start = \"fresh\"");
    }
}

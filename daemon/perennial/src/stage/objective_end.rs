use std::collections::BTreeSet;

use perennial_learn::{adapter::Adapter, train::OptimizerState};
use perennial_types::SampleId;

use super::{Reasons, Trained};
use crate::failure::Final;

/// How a run of an objective ended.
pub(super) enum ObjectiveEnd {
    /// It went through all its steps; `idle` says why they changed nothing, where they did not.
    Trained {
        adapter: Adapter,
        trained: Box<Trained>,
        /// What AdamW knows, where the adapter is what the last step left.
        optimizer: Option<Box<OptimizerState>>,
        lessons: Lessons,
        idle: Option<Final>,
    },
    /// No sample is for it.
    NothingToLearn {
        why: Final,
        lessons: Lessons,
    },
    Stopped,
}

/// What an objective found among the samples.
#[derive(Default)]
pub(super) struct Lessons {
    pub(super) learned_from: BTreeSet<SampleId>,
    /// Those that it should have learned from and could not.
    pub(super) skipped: Reasons,
    /// Those that it could have learned from, had it taken more steps.
    pub(super) unseen: BTreeSet<SampleId>,
}

impl Lessons {
    /// Of `samples`, those at each place that it could learn from, with the places that its steps came to.
    pub(super) fn of<'a>(
        samples: impl IntoIterator<Item = &'a BTreeSet<SampleId>>,
        seen: &BTreeSet<usize>,
        skipped: Reasons,
    ) -> Self {
        let (mut learned_from, mut unseen) = (BTreeSet::new(), BTreeSet::new());
        for (place, samples) in samples.into_iter().enumerate() {
            let side = if seen.contains(&place) { &mut learned_from } else { &mut unseen };
            side.extend(samples);
        }
        unseen.retain(|id| !learned_from.contains(id));
        Self { learned_from, skipped, unseen }
    }
}

use std::borrow::Cow;

use super::{adamw::AdamW, parameters::Parameters, validation::Watch};

/// The state of a run after some step.
#[derive(Clone)]
pub(super) struct State {
    pub(super) parameters: Parameters,
    pub(super) optimizer: AdamW,
    /// Prompts drawn so far, where that does not follow from the step.
    pub(super) drawn: u64,
    /// The moving average of all matrices, where the run keeps one.
    pub(super) average: Option<Vec<Vec<f32>>>,
    /// What validation has said so far, where there is one.
    pub(super) watch: Option<Watch>,
    /// The values of all matrices where the validation loss was least, where the run is to end with them.
    pub(super) best: Option<Vec<Vec<f32>>>,
}

impl State {
    /// Whether the run would end with the very numbers that its last step left.
    pub(super) fn ends_with_its_last_step(&self) -> bool {
        match (&self.best, &self.average) {
            (Some(best), _) => *best == self.parameters.values(),
            (None, average) => average.is_none(),
        }
    }

    /// What the run would end with if this were its last step.
    pub(super) fn outcome(&self) -> Cow<'_, Parameters> {
        match &self.average {
            Some(average) => Cow::Owned(self.parameters.with(average)),
            None => Cow::Borrowed(&self.parameters),
        }
    }
}

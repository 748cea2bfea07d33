use super::loss::ValidationLoss;
use crate::{
    stop::StopFlag,
    train::{TrainError, parameters::Parameters, passes::Passes},
};

/// What the trainer asks of an objective that is validated.
pub(in crate::train) trait Validator {
    /// Whether the loss is asked for after so many steps.
    fn is_due(&self, step: u64) -> bool;

    /// Epochs that are through after so many steps.
    fn epoch(&self, step: u64) -> f64;

    /// The loss under some parameters; `None` where it was asked to stop before that was complete.
    fn loss(
        &self,
        passes: &mut Passes<'_>,
        parameters: &Parameters,
        stop: &StopFlag,
    ) -> Result<Option<ValidationLoss>, TrainError>;
}

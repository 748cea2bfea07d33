use std::collections::BTreeMap;

use perennial_types::SampleId;

use super::space::Space;

/// What a policy may ask that only the learner knows, as far as the policy wants it.
#[derive(Clone, Copy, Default)]
pub struct Signals<'a> {
    /// Where the rows lie among each other, for a policy that [reads it](super::Policy::reads_space).
    pub space: Option<&'a dyn Space>,
    /// By how much the loss of rows rose with the last training that was accepted, in nats per token, for a policy that
    /// [reads it](super::Policy::reads_losses). Not all rows need have one.
    pub loss_rises: Option<&'a BTreeMap<SampleId, f64>>,
}

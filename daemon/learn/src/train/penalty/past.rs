use super::Fisher;
use crate::adapter::Adapter;

/// What was learned before a run, to which penalties hold it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past<'a> {
    /// The champion's adapter in the shape of the run; `None` where the run does not go on from one.
    pub champion: Option<&'a Adapter>,
    /// How much each of its numbers matters; `None` where that was not measured.
    pub fisher: Option<&'a Fisher>,
}

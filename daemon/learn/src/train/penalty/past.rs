use super::Fisher;
use crate::{adapter::Adapter, train::OptimizerState};

/// What is left of the runs before one: what penalties hold it to, and what it begins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past<'a> {
    /// The champion's adapter in the shape of the run; `None` where the run does not go on from one.
    pub champion: Option<&'a Adapter>,
    /// How much each of its numbers matters; `None` where that was not measured.
    pub fisher: Option<&'a Fisher>,
    /// So many first rows of A and columns of B of what the run begins with are the champion's, and stay as they are: the penalty on
    /// overlaps holds the others away from them. 0 where all is trained.
    pub frozen_rank: usize,
    /// What AdamW begins with; `None` where it begins anew.
    pub optimizer: Option<&'a OptimizerState>,
}

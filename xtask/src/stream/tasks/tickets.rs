use super::Own;
use crate::tickets;

/// A customer's message → a JSON object, as in the demo: no ticket that is evaluated is trained on.
pub(super) const TASK: Own = Own { name: tickets::DOMAIN, draw: tickets::draw };

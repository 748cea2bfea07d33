//! Whether an adapter that a server lists is applied when it is asked for.

use super::server::Server;
use crate::{
    PublishError,
    probe::{PROMPTS, check_differs},
};

/// Asks the adapter and the base model for the same.
///
/// # Errors
/// [`PublishError::Unlike`] where the adapter answers as the base model does.
pub(super) fn probe(server: &Server<'_>, adapter: &str) -> Result<(), PublishError> {
    let base = server.base()?;
    let of_base = [server.next_tokens(&base, &PROMPTS)?, server.next_tokens(&base, &PROMPTS)?];
    let adapted = server.next_tokens(adapter, &PROMPTS)?;
    check_differs(&of_base, &adapted)
        .map_err(|how| server.unlike(format!("lists {adapter}, and answers as its base model {base} does: {how}")))
}

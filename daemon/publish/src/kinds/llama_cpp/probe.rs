//! Whether an adapter that a server has is applied when it is asked for.

use super::server::{Listed, Server};
use crate::{
    PublishError,
    probe::{PROMPTS, Tokens, check_differs},
};

/// Asks with the adapter and without any, each request with weights of its own, so that nobody else's answers change.
///
/// # Errors
/// [`PublishError::Unlike`] where the adapter answers as the base model does.
pub(super) fn probe(server: &Server<'_>, all: &[Listed], adapter: u64) -> Result<(), PublishError> {
    let ask = |only: Option<u64>| -> Result<Vec<Tokens>, PublishError> {
        PROMPTS.iter().map(|prompt| server.next_tokens(prompt, all, only)).collect()
    };
    let base = [ask(None)?, ask(None)?];
    check_differs(&base, &ask(Some(adapter))?).map_err(|how| {
        let path = all.iter().find(|listed| listed.id == adapter).map_or("", |listed| listed.path.as_str());
        server.unlike(format!("has {path}, and answers with it as its base model does: {how}"))
    })
}

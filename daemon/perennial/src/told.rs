//! What went wrong, with what led to it, each said once.

use std::error::Error;

/// An error and its causes in one line. Many errors already say their cause themselves; such a cause is passed over, and its
/// own causes are not.
pub(crate) fn told(error: impl AsRef<dyn Error>) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn Error> = Some(error.as_ref());
    while let Some(error) = next {
        next = error.source();
        let cause = error.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

pub(crate) fn sentence(reason: &str, remedy: &str) -> String {
    if remedy.is_empty() { reason.to_owned() } else { format!("{reason}; to mend it: {remedy}") }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a file cannot be read: {0}")]
    struct SaysItsCause(#[source] std::io::Error);

    #[test]
    fn each_cause_is_said_once() {
        let error = anyhow::Error::from(SaysItsCause(std::io::Error::other("the disk is gone"))).context("no cycle");
        assert_eq!(told(&error), "no cycle: a file cannot be read: the disk is gone");
        assert_eq!(told(anyhow!("inner").context("outer")), "outer: inner");
    }
}

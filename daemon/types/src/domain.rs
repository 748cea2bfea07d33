use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The domain of a row that names none, unless the configuration says otherwise.
pub const DEFAULT_DOMAIN: &str = "default";

/// The longest name of a domain, in characters.
pub const DOMAIN_CHARS_MAX: usize = 64;

/// A sample's stratum: what the held-out split, the replay policies and the auto suites go by.
///
/// One to [`DOMAIN_CHARS_MAX`] characters of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, the first a letter or digit, so
/// that it can stand in a file name and a metric label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Domain(String);

/// A text that cannot name a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the domain {0:?} is not a name: use 1 to {DOMAIN_CHARS_MAX} letters, digits, '.', '_' or '-', starting with a letter or digit"
)]
pub struct DomainError(String);

impl Domain {
    /// The domain of this name.
    ///
    /// # Errors
    /// Where the name is empty, too long, or holds other characters than the allowed ones.
    pub fn new(name: &str) -> Result<Self, DomainError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && name.len() <= DOMAIN_CHARS_MAX && name.chars().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(DomainError(name.chars().take(2 * DOMAIN_CHARS_MAX).collect()))
        }
    }

    /// The name, as in configuration and metrics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self(DEFAULT_DOMAIN.to_owned())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_or_a_label_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "-x", "ü", &"a".repeat(65)] {
            assert!(Domain::new(bad).is_err(), "{bad:?}");
        }
        for good in ["ner", "support.tickets-v2", "0"] {
            assert!(Domain::new(good).is_ok(), "{good:?}");
        }
    }
}

use std::fmt;

/// Why a call could not be answered at all: every completion of the task counts as faulted, and none gets a reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration passes its schema but makes no sense.
    BadConfig(String),
    /// The task is not one that this plugin can read.
    BadInput(String),
    /// Something went wrong inside the plugin.
    Internal(String),
}

impl Fault {
    /// The configuration makes no sense: name the key and how to mend it.
    pub fn bad_config(why: impl fmt::Display) -> Self {
        Self::BadConfig(why.to_string())
    }

    /// The task cannot be read: name the field.
    pub fn bad_input(why: impl fmt::Display) -> Self {
        Self::BadInput(why.to_string())
    }

    /// Something went wrong inside the plugin.
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::Internal(why.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadConfig(why) => write!(f, "bad configuration: {why}"),
            Self::BadInput(why) => write!(f, "bad input: {why}"),
            Self::Internal(why) => write!(f, "internal: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

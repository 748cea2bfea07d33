use serde::{Deserialize, Serialize};

/// How far a suite was asked, where it was asked in batches or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The items that were asked.
    pub items: usize,
    /// All its items.
    pub of: usize,
    /// Why no further.
    pub stopped: Stopped,
}

/// Why a suite was asked no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// A loss beyond the margin was ruled out.
    Safe,
    /// Harm was shown.
    Harm,
    /// There are no more items: all of them are compared.
    End,
    /// Harm was shown before, or what was enough once is not under another policy.
    Unknown,
}

impl Asked {
    /// Why no further, in words.
    pub fn why(self) -> &'static str {
        match self.stopped {
            Stopped::Safe => "a loss beyond its margin is ruled out",
            Stopped::Harm => "harm is shown",
            Stopped::End => "no more items",
            Stopped::Unknown if self.items == 0 => "harm was shown on another suite",
            Stopped::Unknown => "it was enough when it was asked",
        }
    }
}

use std::fmt;

use chrono::DateTime;
use perennial_types::CycleId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

use crate::told::sentence;

/// Training does not get on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stuck {
    /// The cycle that is tried again, or the last that failed; `None` where none can be begun.
    #[schema(value_type = Option<schemas::CycleId>)]
    pub(crate) cycle: Option<CycleId>,
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do about it; empty where the reason says all that is known.
    pub(crate) remedy: String,
    /// How often the cycle was tried since it last got further; 0 where it is over.
    pub(crate) attempts: u32,
    /// Cycles that failed one after the other, up to now.
    pub(crate) failed_cycles: u32,
    /// When the next try comes by itself, in milliseconds since the Unix epoch; `None` where that is not known here.
    pub(crate) retry_ms: Option<i64>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycle, reason, remedy, attempts, failed_cycles, .. } = self;
        write!(f, "since {}: ", time(self.since_ms))?;
        match (cycle, attempts) {
            (None, _) => write!(f, "no cycle can be begun: ")?,
            (Some(cycle), 0) => write!(f, "cycle {cycle} failed: ")?,
            (Some(cycle), attempts) => write!(f, "cycle {cycle}, try {attempts}: ")?,
        }
        write!(f, "{}", sentence(reason, remedy))?;
        if *failed_cycles > 1 {
            write!(f, " ({failed_cycles} cycles failed in a row)")?;
        }
        Ok(())
    }
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

use prometheus::{Gauge, IntCounter, Result};

use super::{Registry, register};

/// The process, and the disk that it writes to.
pub(crate) struct ServiceMetrics {
    pub(crate) heartbeats: IntCounter,
    pub(crate) free: Gauge,
    pub(crate) size: Gauge,
}

impl ServiceMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let beats = "Signs of life of the work: while a cycle is under way and this stands still, it hangs.";
        let free = "Room that is left where the state directory is; 0: not looked at yet.";
        let size = "The size of the file system that the state directory is on; 0: not looked at yet.";
        Ok(Self {
            heartbeats: register(registry, IntCounter::new("perennial_heartbeats_total", beats)?)?,
            free: register(registry, Gauge::new("perennial_state_free_bytes", free)?)?,
            size: register(registry, Gauge::new("perennial_state_size_bytes", size)?)?,
        })
    }
}

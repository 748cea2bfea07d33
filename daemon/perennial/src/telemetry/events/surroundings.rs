//! What is looked at now and then, for those who watch: the disk, the inbox, and how the gate decided of late.

use super::whole;
use crate::telemetry::{Event, Telemetry};

/// How much room there is where the state directory is.
pub(crate) struct DiskLooked {
    /// Bytes that may still be written.
    pub(crate) free: u64,
    /// All bytes of the file system.
    pub(crate) size: u64,
}

impl Event for DiskLooked {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().service;
        metrics.free.set(self.free as f64);
        metrics.size.set(self.size as f64);
    }
}

/// What lies in the inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Its finished files.
    pub(crate) files: u64,
    /// When the one came that lies there longest, in seconds since 1970; `None` where none does.
    pub(crate) oldest_seconds: Option<i64>,
}

impl Event for Backlog {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().ingest;
        metrics.inbox_files.set(whole(self.files));
        metrics.inbox_oldest.set(self.oldest_seconds.unwrap_or(0) as f64);
    }
}

/// So many candidates were refused since the last one was let into service.
pub(crate) struct RejectedInARow(pub(crate) usize);

impl Event for RejectedInARow {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().cycle.rejected_in_a_row.set(whole(self.0 as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_was_seen_is_exported_until_the_next_look() {
        let telemetry = telemetry();
        telemetry.emit_quietly(DiskLooked { free: 5, size: 20 });
        telemetry.emit_quietly(Backlog { files: 3, oldest_seconds: Some(1_000) });
        telemetry.emit_quietly(RejectedInARow(4));
        for line in [
            "perennial_state_free_bytes 5",
            "perennial_state_size_bytes 20",
            "perennial_ingest_inbox_files 3",
            "perennial_ingest_inbox_oldest_timestamp_seconds 1000",
            "perennial_cycle_rejected_in_a_row 4",
            "perennial_heartbeats_total 0",
        ] {
            assert!(exports(&telemetry, line), "{line}");
        }
        telemetry.emit_quietly(Backlog::default());
        assert!(exports(&telemetry, "perennial_ingest_inbox_oldest_timestamp_seconds 0"));
        telemetry.emit(RejectedInARow(0));
        assert!(exports(&telemetry, "perennial_heartbeats_total 1"));
    }
}

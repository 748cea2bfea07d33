//! The doors.

use tracing::warn;

use crate::telemetry::{Event, Telemetry};

/// A connection waits, for all places are taken.
pub(crate) struct ConnectionsFull {
    /// How many places there are.
    pub(crate) max: usize,
    /// Whether it is worth a line: it is counted in any case.
    pub(crate) is_news: bool,
}

impl Event for ConnectionsFull {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().http.connections_full.inc();
        if self.is_news {
            warn!(max = self.max, "all `http.connections_max` connections are taken: further ones wait");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::events::testing::{exports, telemetry};

    #[test]
    fn every_wait_is_counted() {
        let telemetry = telemetry();
        telemetry.emit(ConnectionsFull { max: 1, is_news: true });
        telemetry.emit(ConnectionsFull { max: 1, is_news: false });
        assert!(exports(&telemetry, "perennial_http_connections_full_total 2"));
    }
}

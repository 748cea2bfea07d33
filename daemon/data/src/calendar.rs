//! Instants as they stand in names of folders and files, in UTC.

use chrono::DateTime;

/// The day of an instant in milliseconds since the Unix epoch: `2026-11-21`.
pub(crate) fn date(unix_ms: i64) -> String {
    shown(unix_ms, "%Y-%m-%d")
}

/// An instant in ISO 8601's basic form, to the second, without characters that a file name cannot hold: `20261121T210613Z`.
pub(crate) fn compact(unix_ms: i64) -> String {
    shown(unix_ms, "%Y%m%dT%H%M%SZ")
}

/// An instant beyond the calendar (a quarter of a million years away) is shown as the epoch.
fn shown(unix_ms: i64, format: &str) -> String {
    DateTime::from_timestamp_millis(unix_ms).unwrap_or_default().format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(951_782_400_000), "2000-02-29");
        assert_eq!(compact(1_795_295_173_000), "20261121T210613Z");
        assert_eq!(date(i64::MAX), "1970-01-01");
    }
}

//! Rows and files in, and the replay buffer.

use std::{cmp::Reverse, time::Duration};

use perennial_types::{Domain, Kind};
use tracing::{debug, error, info, warn};

use super::whole;
use crate::{
    answers::{IntakeReport, SetAside, Untrained, Waiting},
    telemetry::{Event, FileOutcome, Telemetry},
};

/// Rows of a file or a request were taken in.
pub(crate) struct RowsTaken<'a> {
    /// The file's name or the channel.
    pub(crate) source: &'a str,
    /// What became of the rows.
    pub(crate) report: &'a IntakeReport,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Event for RowsTaken<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { source, report, took } = self;
        let metrics = &telemetry.metrics().ingest;
        let IntakeReport { accepted, duplicates, rejected, held_out, .. } = *report;
        for (outcome, rows) in [("accepted", accepted), ("duplicate", duplicates), ("rejected", rejected)] {
            metrics.rows.with_label_values(&[outcome]).inc_by(rows);
        }
        metrics.duration.observe(took.as_secs_f64());
        info!(source, accepted, duplicates, rejected, held_out, seconds = took.as_secs_f64(), "rows taken in");
        for found in &report.untrained {
            metrics.untrained.with_label_values(&[found.kind.as_str()]).add(whole(found.samples));
            let Untrained { kind, samples, key } = found;
            warn!(
                source,
                kind = kind.as_str(),
                samples,
                key,
                "no stage of training learns from these rows: they are stored, and wait"
            );
        }
        metrics.unkept.inc_by(report.unkept);
        if report.unkept > 0 {
            let keys = "`ingest.quarantine_source_bytes_max`, `ingest.quarantine_bytes_max`";
            warn!(
                source,
                rows = report.unkept,
                keys,
                "quarantine has no room for more refused rows: they are counted only"
            );
        }
        if let Some(quarantine) = report.quarantine.as_ref().filter(|_| rejected > 0) {
            warn!(source, rejected, quarantine = %quarantine.display(), "rows refused");
        }
    }
}

/// A file of the inbox was dealt with.
pub(crate) struct FileHandled<'a> {
    /// The file's name.
    pub(crate) file: &'a str,
    /// What became of it.
    pub(crate) outcome: FileOutcome,
    /// Why it was not taken.
    pub(crate) reason: Option<String>,
}

impl Event for FileHandled<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { file, outcome, reason } = self;
        telemetry.metrics().ingest.files.with_label_values(&[outcome.as_str()]).inc();
        let reason = reason.unwrap_or_default();
        match outcome {
            FileOutcome::Taken => debug!(file, "file moved to taken"),
            FileOutcome::Quarantined => warn!(file, reason, "file moved to quarantine"),
            FileOutcome::Failed => error!(file, reason, "file not taken in; it stays and is tried again"),
            FileOutcome::SetAside => {
                error!(
                    file,
                    reason, "file set aside: it stays, and is tried again when it changes or at the next start"
                );
            }
        }
    }
}

/// The disk was found full, or with room again.
pub(crate) struct StorageFull(pub(crate) bool);

impl Event for StorageFull {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().ingest.storage_full.set(i64::from(self.0));
        if !telemetry.board().update_intake(|trouble| trouble.storage_full = self.0) {
            return;
        }
        match self.0 {
            true => error!("the disk is full: nothing is taken in until there is room"),
            false => info!("the disk has room again"),
        }
    }
}

/// What a look at the inbox found that is not taken.
pub(crate) struct InboxLooked {
    /// How many of its files are set aside.
    pub(crate) set_aside: u64,
    /// The first of them.
    pub(crate) named: Vec<SetAside>,
}

impl Event for InboxLooked {
    fn emit(self, telemetry: &Telemetry) {
        let Self { set_aside, named } = self;
        telemetry.metrics().ingest.set_aside.set(whole(set_aside));
        telemetry.board().update_intake(|trouble| (trouble.set_aside_files, trouble.set_aside) = (set_aside, named));
    }
}

/// How many domains have a metric label of their own, the largest; the rest are counted together.
const DOMAINS_LABELLED_MAX: usize = 64;

/// The label of the rest; brackets keep it apart from every domain.
const OTHER_DOMAINS: &str = "(other)";

/// The replay buffer holds this many training samples now.
pub(crate) struct BufferSized<'a> {
    /// Samples per domain, each domain once, in order.
    pub(crate) domains: &'a [(Domain, u64)],
}

impl Event for BufferSized<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let gauge = &telemetry.metrics().buffer.samples;
        // A domain that is gone from the buffer would keep its last value for ever.
        gauge.reset();
        let mut domains: Vec<&(Domain, u64)> = self.domains.iter().collect();
        domains.sort_by_key(|(_, samples)| Reverse(*samples));
        let (labelled, rest) = domains.split_at(domains.len().min(DOMAINS_LABELLED_MAX));
        for (domain, samples) in labelled {
            gauge.with_label_values(&[domain.as_str()]).set(whole(*samples));
        }
        if !rest.is_empty() {
            gauge.with_label_values(&[OTHER_DOMAINS]).set(whole(rest.iter().map(|(_, samples)| samples).sum()));
        }
    }
}

/// So many samples wait for a cycle now.
pub(crate) struct SamplesWaiting(pub(crate) Waiting);

impl Event for SamplesWaiting {
    fn emit(self, telemetry: &Telemetry) {
        let Waiting { samples, refused, .. } = self.0;
        telemetry.metrics().cycle.waiting.set(whole(samples));
        telemetry.metrics().cycle.refused.set(whole(refused));
    }
}

/// So many samples wait that no stage of training learns from, under the configuration in force.
pub(crate) struct SamplesUntrained<'a>(pub(crate) &'a [Untrained]);

impl Event for SamplesUntrained<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let gauge = &telemetry.metrics().ingest.untrained;
        for kind in Kind::ALL {
            let found = self.0.iter().find(|found| found.kind == kind).map_or(0, |found| found.samples);
            gauge.with_label_values(&[kind.as_str()]).set(whole(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn rows_move_the_counters_by_outcome() {
        let telemetry = telemetry();
        let report = IntakeReport { accepted: 5, duplicates: 2, rejected: 1, ..Default::default() };
        telemetry.emit(RowsTaken { source: "a.jsonl", report: &report, took: Duration::from_millis(3) });
        assert!(exports(&telemetry, r#"perennial_ingest_rows_total{outcome="accepted"} 5"#));
        assert!(exports(&telemetry, r#"perennial_ingest_rows_total{outcome="duplicate"} 2"#));
        assert_eq!(telemetry.board().beats(), 1);
    }

    fn untrained(kind: Kind, samples: u64) -> Untrained {
        Untrained { kind, samples, key: String::new() }
    }

    #[test]
    fn rows_that_nothing_trains_on_are_counted_until_the_configuration_has_a_stage_for_them() {
        let telemetry = telemetry();
        let report = IntakeReport { untrained: vec![untrained(Kind::Preference, 4)], ..Default::default() };
        telemetry.emit(SamplesUntrained(&[untrained(Kind::Preference, 3)]));
        telemetry.emit(RowsTaken { source: "a.jsonl", report: &report, took: Duration::ZERO });
        assert!(exports(&telemetry, r#"perennial_ingest_untrained_samples{kind="preference"} 7"#));
        telemetry.emit(SamplesUntrained(&[]));
        assert!(exports(&telemetry, r#"perennial_ingest_untrained_samples{kind="preference"} 0"#));
    }

    #[test]
    fn small_domains_beyond_the_limit_share_a_label_and_gone_ones_have_none() {
        let telemetry = telemetry();
        let domains = |from| -> Vec<_> {
            (from..from + 70_u64).map(|n| (Domain::new(&format!("d{n:03}")).unwrap(), 100 + n)).collect()
        };
        telemetry.emit(BufferSized { domains: &domains(0) });
        assert!(exports(&telemetry, r#"perennial_buffer_samples{domain="d069"} 169"#));
        assert!(exports(&telemetry, r#"perennial_buffer_samples{domain="(other)"} 615"#));
        telemetry.emit(BufferSized { domains: &domains(100)[..2] });
        assert!(!telemetry.metrics().render().unwrap().contains("d069"));
    }
}

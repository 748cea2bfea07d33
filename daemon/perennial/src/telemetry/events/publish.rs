//! What the targets of publishing serve.

use perennial_publish::{Look, Outcome};
use tracing::{error, info, warn};

use crate::telemetry::{Event, Telemetry};

/// These targets are configured.
pub(crate) struct TargetsKnown<'a>(pub(crate) &'a [&'a str]);

impl Event for TargetsKnown<'_> {
    fn emit(self, telemetry: &Telemetry) {
        self.0.iter().for_each(|target| telemetry.metrics().publish.begin(target));
    }
}

/// It was looked whether a target serves the champion, and made so where it did not.
pub(crate) struct TargetLooked<'a> {
    /// Its name.
    pub(crate) target: &'a str,
    /// What came of it.
    pub(crate) look: &'a Look,
    /// Whether production reads something else than the champion.
    pub(crate) is_unpublished: bool,
}

impl Event for TargetLooked<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { target, look: Look { publication, outcome }, is_unpublished } = self;
        let attempts = publication.attempts;
        let adapter = publication.served_adapter.as_ref().map_or("the base model", |adapter| adapter.as_str());
        match outcome {
            Outcome::Published => {
                info!(to = target, adapter, change = publication.wished, "the target serves the champion")
            }
            Outcome::Failed(problem) if publication.is_given_up() => {
                error!(to = target, attempts, error = %problem, "a target cannot follow the champion and is given up: tried again with the \
                       next champion, at a reload and at the next start");
            }
            Outcome::Failed(problem) if is_unpublished => {
                error!(to = target, attempts, error = %problem, "the champion cannot be published; tried again");
            }
            Outcome::Failed(problem) => {
                warn!(to = target, attempts, error = %problem, "a target cannot follow the champion; tried again");
            }
            Outcome::Follows | Outcome::Waits => {}
        }
        let metrics = &telemetry.metrics().publish;
        match outcome {
            Outcome::Published => metrics.tries.with_label_values(&[target, "served"]).inc(),
            Outcome::Failed(_) => metrics.tries.with_label_values(&[target, "failed"]).inc(),
            Outcome::Follows | Outcome::Waits => {}
        }
        metrics.behind.with_label_values(&[target]).set(i64::from(publication.is_behind()));
        metrics.given_up.with_label_values(&[target]).set(i64::from(publication.is_given_up()));
        metrics.since.with_label_values(&[target]).set(publication.since_ms as f64 / 1000.0);
        telemetry.metrics().gate.unpublished.set(i64::from(is_unpublished));
    }
}

#[cfg(test)]
mod tests {
    use perennial_publish::PublishError;
    use perennial_types::{Fingerprint, Publication};

    use super::{super::testing::*, *};

    #[test]
    fn what_a_target_serves_beside_the_champion_is_exported_until_it_is_mended() {
        let telemetry = telemetry();
        telemetry.emit(TargetsKnown(&["hook"]));
        assert!(exports(&telemetry, r#"perennial_publish_tries_total{outcome="failed",target="hook"} 0"#));
        let mut publication = Publication {
            target: "hook".to_owned(),
            place: Fingerprint::of(b""),
            wished: 1,
            wished_adapter: None,
            served: None,
            served_adapter: None,
            since_ms: 2_000,
            attempts: 3,
            next_ms: None,
            error: Some("no answer".to_owned()),
        };
        let failed = Outcome::Failed(PublishError::NotALink("/".into()));
        let look = Look { publication: publication.clone(), outcome: failed };
        telemetry.emit(TargetLooked { target: "hook", look: &look, is_unpublished: true });
        for line in [
            r#"perennial_publish_tries_total{outcome="failed",target="hook"} 1"#,
            r#"perennial_publish_behind{target="hook"} 1"#,
            r#"perennial_publish_given_up{target="hook"} 1"#,
            r#"perennial_publish_since_timestamp_seconds{target="hook"} 2"#,
            "perennial_champion_unpublished 1",
        ] {
            assert!(exports(&telemetry, line), "{line}");
        }
        publication.served = Some(1);
        let look = Look { publication, outcome: Outcome::Published };
        telemetry.emit(TargetLooked { target: "hook", look: &look, is_unpublished: false });
        assert!(exports(&telemetry, r#"perennial_publish_behind{target="hook"} 0"#));
        assert!(exports(&telemetry, "perennial_champion_unpublished 0"));
    }
}

//! What production reads.

use perennial_registry::publish::Unpublished;
use tracing::error;

use crate::telemetry::{Event, Telemetry};

/// It was looked whether production reads the champion, and made so where it did not.
pub(crate) struct ChampionPublished<'a> {
    /// Why it does not.
    pub(crate) unpublished: Option<&'a Unpublished>,
}

impl Event for ChampionPublished<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { unpublished } = self;
        if let Some(unpublished) = unpublished {
            error!(error = %unpublished, "the champion cannot be published; tried again");
        }
        telemetry.metrics().gate.unpublished.set(i64::from(unpublished.is_some()));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_production_reads_beside_the_champion_is_exported_until_it_is_mended() {
        let telemetry = telemetry();
        let unpublished = Unpublished { since_ms: 0, reason: "no space".into() };
        telemetry.emit(ChampionPublished { unpublished: Some(&unpublished) });
        assert!(exports(&telemetry, "perennial_champion_unpublished 1"));
        telemetry.emit(ChampionPublished { unpublished: None });
        assert!(exports(&telemetry, "perennial_champion_unpublished 0"));
    }
}

//! Whether what comes in has moved.

use crate::{
    answers::Drift,
    telemetry::{Event, Telemetry},
};

/// Every detector was asked.
pub(crate) struct DriftMeasured<'a>(pub(crate) &'a Drift);

impl Event for DriftMeasured<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let scores = &telemetry.metrics().drift.score;
        for known in &self.0.scores {
            // A detector that cannot say anything must not look as if nothing moved.
            scores.with_label_values(&[known.detector.as_str()]).set(known.score.unwrap_or(f64::NAN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::answers::DriftScore;

    #[test]
    fn a_score_is_exported_and_one_that_is_not_known_is_no_number() {
        let telemetry = telemetry();
        let known = |score| {
            let (detector, meaning) = ("mix".to_owned(), String::new());
            Drift { scores: vec![DriftScore { detector, meaning, score }], ..Default::default() }
        };
        telemetry.emit(DriftMeasured(&known(Some(0.25))));
        assert!(exports(&telemetry, r#"perennial_drift_score{detector="mix"} 0.25"#));
        telemetry.emit(DriftMeasured(&known(None)));
        assert!(exports(&telemetry, r#"perennial_drift_score{detector="mix"} NaN"#));
    }
}

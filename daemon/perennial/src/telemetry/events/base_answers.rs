//! What the base model answers, for mixes to hold (`replay.base_answers`).

use tracing::info;

use super::whole;
use crate::{
    answers::BaseAnswerCounts,
    telemetry::{Event, Telemetry},
};

/// The base model was asked more prompts.
pub(crate) struct BaseModelAsked {
    /// How many more.
    pub(crate) asked: u64,
    /// What came of all.
    pub(crate) standing: BaseAnswerCounts,
}

impl Event for BaseModelAsked {
    fn emit(self, telemetry: &Telemetry) {
        let Self { asked, standing: BaseAnswerCounts { answered, unanswered } } = self;
        let prompts = &telemetry.metrics().buffer.base_answers;
        prompts.with_label_values(&["answered"]).set(whole(answered));
        prompts.with_label_values(&["unanswered"]).set(whole(unanswered));
        info!(asked, answered, unanswered, "the base model was asked further prompts: its answers are a part of mixes");
        telemetry.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn prompts_are_counted_by_whether_they_have_an_answer() {
        let telemetry = telemetry();
        telemetry.emit(BaseModelAsked { asked: 16, standing: BaseAnswerCounts { answered: 12, unanswered: 4 } });
        assert!(exports(&telemetry, r#"perennial_base_answers{outcome="answered"} 12"#));
        assert!(exports(&telemetry, r#"perennial_base_answers{outcome="unanswered"} 4"#));
    }
}

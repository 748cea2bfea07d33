//! What the base model answers, for mixes to hold.

use tracing::info;

use super::whole;
use crate::{
    answers::Anchors,
    telemetry::{Event, Telemetry},
};

/// The base model answered more of the anchor prompts.
pub(crate) struct AnchorsAnswered {
    /// Prompts that it was asked.
    pub(crate) done: u64,
    /// All of them.
    pub(crate) of: u64,
    /// What came of it.
    pub(crate) standing: Anchors,
}

impl Event for AnchorsAnswered {
    fn emit(self, telemetry: &Telemetry) {
        let Self { done, of, standing: Anchors { answered, unanswered } } = self;
        let prompts = &telemetry.metrics().buffer.anchors;
        prompts.with_label_values(&["answered"]).set(whole(answered));
        prompts.with_label_values(&["unanswered"]).set(whole(unanswered));
        if done == of {
            info!(
                answered,
                unanswered, "the base model was asked the anchor prompts: its answers are a part of each mix"
            );
        }
        telemetry.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn prompts_are_counted_by_whether_they_have_an_answer() {
        let telemetry = telemetry();
        telemetry.emit(AnchorsAnswered { done: 16, of: 200, standing: Anchors { answered: 12, unanswered: 4 } });
        assert!(exports(&telemetry, r#"perennial_anchor_prompts{outcome="answered"} 12"#));
        assert!(exports(&telemetry, r#"perennial_anchor_prompts{outcome="unanswered"} 4"#));
    }
}

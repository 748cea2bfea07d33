//! Which samples training learns from, by what the stages say.

use std::collections::BTreeSet;

use perennial_types::{Domain, Kind};

use super::{Config, Objective};

impl Config {
    /// The kinds of rows that a stage learns from. The others are stored and wait.
    pub(crate) fn trained_kinds(&self) -> Vec<Kind> {
        let stages = self.stages();
        let learns = |kind: &Kind| stages.iter().any(|stage| stage.objective.kind().kinds().contains(kind));
        Kind::ALL.into_iter().filter(learns).collect()
    }

    /// The domains that samples must be of to be learned from; `None` where any will do. What learns from rewards alone learns
    /// nothing from a domain that no plugin scores: those samples wait, as other kinds do.
    pub(crate) fn trained_domains(&self) -> Option<BTreeSet<Domain>> {
        if self.stages().iter().any(|stage| stage.objective.kind().rows().is_some()) {
            return None;
        }
        let plugins = || self.reward.plugin.iter().filter(|plugin| plugin.weight != 0.0);
        let any = plugins().any(|plugin| plugin.domains.is_empty());
        (!any).then(|| plugins().flat_map(|plugin| plugin.domains.iter().cloned()).collect())
    }
}

/// What in the configuration trains on rows of this kind; empty where no objective does.
pub(crate) fn key_to_train(kind: Kind) -> String {
    let objectives: Vec<String> = Objective::all()
        .filter(|objective| objective.kind().kinds().contains(&kind))
        .map(|objective| format!("\"{}\"", objective.as_str()))
        .collect();
    if objectives.is_empty() {
        String::new()
    } else {
        format!("[[train.stage]] objective = {}", objectives.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        toml::from_str::<Config>(text).unwrap().trained_kinds()
    }

    #[test]
    fn the_stages_say_which_kinds_are_trained_on() {
        assert_eq!(kinds(""), [Kind::Messages, Kind::PromptCompletion, Kind::Text]);
        assert_eq!(kinds("[train]\nobjectives = [\"dpo\"]"), [Kind::Preference]);
        let all = "[[train.stage]]\nobjective = \"sft\"\n[[train.stage]]\nobjective = \"dpo\"\n[[train.stage]]\nobjective = \"grpo\"";
        assert_eq!(kinds(all), Kind::ALL);
    }

    #[test]
    fn every_kind_has_a_key_that_trains_on_it() {
        assert_eq!(key_to_train(Kind::Preference), "[[train.stage]] objective = \"dpo\"");
        assert_eq!(key_to_train(Kind::Messages), "[[train.stage]] objective = \"sft\" or \"grpo\"");
        for kind in Kind::ALL {
            assert!(!key_to_train(kind).is_empty(), "{kind:?}");
        }
    }
}

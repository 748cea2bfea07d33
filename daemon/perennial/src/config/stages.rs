//! What a candidate is trained by: the objectives one after the other, each with the keys that are its own.

use perennial_learn::train::{
    grpo::{self, GrpoConfig},
    objective::Keys,
};
use serde_json::Value;

use super::{Config, Objective, Train, TrainStage};

/// As the older keys have it: `train.objectives` names it, and its keys are those of `[train]` or `[grpo]`, or its defaults.
fn older(objective: Objective, train: &Train, grpo: Option<&GrpoConfig>) -> TrainStage {
    let of_grpo = grpo.filter(|_| objective.as_str() == grpo::NAME).and_then(|grpo| serde_json::to_value(grpo).ok());
    let keys = match of_grpo {
        Some(Value::Object(keys)) => keys,
        _ => own_keys_of(objective, train),
    };
    // What was read is complete, and its types are right.
    let keys = objective.kind().complete(&keys).unwrap_or(keys);
    TrainStage { objective, keys }
}

/// The keys of `[train]` that are an objective's own in `[[train.stage]]`: those of supervised fine-tuning.
pub(super) const SFT_KEYS: [&str; 4] = ["learning_rate", "epochs", "steps_max", "batch_size"];

fn own_keys_of(objective: Objective, train: &Train) -> Keys {
    let Ok(Value::Object(keys)) = serde_json::to_value(train) else { return Keys::new() };
    let own = |key: &str| objective == Objective::default() && SFT_KEYS.contains(&key);
    keys.into_iter().filter(|(key, value)| own(key) && !value.is_null()).collect()
}

/// The stages: those that are written as such, or else what the older keys say.
pub(crate) fn stages_of(train: &Train, grpo: Option<&GrpoConfig>) -> Vec<TrainStage> {
    if !train.stage.is_empty() {
        return train.stage.clone();
    }
    train.objectives.iter().map(|objective| older(*objective, train, grpo)).collect()
}

impl Config {
    /// The objectives that a candidate is trained by, one after the other.
    pub(crate) fn stages(&self) -> Vec<TrainStage> {
        stages_of(&self.train, Some(&self.grpo))
    }

    /// How to learn from rewards, where a stage does; else as [grpo] has it.
    pub(crate) fn grpo(&self) -> GrpoConfig {
        self.stages().iter().find_map(TrainStage::grpo).unwrap_or_else(|| self.grpo.clone())
    }

    /// Whether a stage learns from rewards.
    pub(crate) fn learns_from_rewards(&self) -> bool {
        self.stages().iter().any(|stage| stage.objective.kind().rows().is_none())
    }

    /// The older keys that are set though `[[train.stage]]` says all: nothing looks at them.
    pub(super) fn overlooked(&self) -> Vec<&'static str> {
        let (set, default) = (&self.train, Train::default());
        let differs = [
            ("train.objectives", set.objectives != default.objectives),
            ("train.learning_rate", set.learning_rate != default.learning_rate),
            ("train.epochs", set.epochs != default.epochs),
            ("train.steps_max", set.steps_max != default.steps_max),
            ("train.batch_size", set.batch_size != default.batch_size),
            ("grpo", self.grpo != GrpoConfig::default()),
        ];
        let found = differs.into_iter().filter(|(_, differs)| *differs && !set.stage.is_empty());
        found.map(|(key, _)| key).collect()
    }

    /// What `perennial check` says of keys that there is a newer way to write.
    pub(crate) fn older_keys(&self) -> Option<String> {
        let older = self.train.stage.is_empty()
            && (self.train.objectives != Train::default().objectives || self.grpo != GrpoConfig::default());
        older.then(|| {
            let stages: Vec<String> =
                self.stages().iter().map(|stage| format!("objective = \"{}\"", stage.objective.as_str())).collect();
            format!(
                "train.objectives and [grpo] are the older way to write [[train.stage]], and still count: {}, each with its keys",
                stages.join(", then ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_older_keys_say_the_same_as_stages_do() {
        let older = config(
            "[train]\nobjectives = [\"sft\", \"grpo\"]\nlearning_rate = 1e-3\nbatch_size = 3\n[grpo]\nbeta = 0.5\nsteps_max = 4",
        );
        let newer = config(
            "[[train.stage]]\nobjective = \"sft\"\nlearning_rate = 1e-3\nbatch_size = 3\n\
             [[train.stage]]\nobjective = \"grpo\"\nbeta = 0.5\nsteps_max = 4",
        );
        assert_eq!(older.stages(), newer.stages());
        assert_eq!(older.grpo(), newer.grpo());
        assert!(older.older_keys().unwrap().contains("then objective = \"grpo\"") && newer.older_keys().is_none());
        assert_eq!(config("").stages()[0].keys["learning_rate"], 2e-4);
        assert!(config("").older_keys().is_none() && !config("").learns_from_rewards());
    }

    #[test]
    fn stages_read_back_as_they_were_written() {
        let written = config("[[train.stage]]\nobjective = \"grpo\"\nepsilon_high = 0.3\n");
        let text = toml::to_string(&written).unwrap();
        assert_eq!(config(&text), written);
        let json = serde_json::to_string(&written.stages()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<TrainStage>>(&json).unwrap(), written.stages());
    }

    #[test]
    fn what_is_no_stage_is_refused_by_name() {
        let problem = |text: &str| toml::from_str::<Config>(text).unwrap_err().message().to_owned();
        assert!(
            problem("[[train.stage]]\nobjective = \"spt\"")
                .starts_with("unknown objective `spt`, expected one of `sft`")
        );
        assert!(problem("[[train.stage]]\nobjective = \"sft\"\nbeta = 1").starts_with("unknown field `beta`"));
        assert!(problem("[[train.stage]]\nepochs = 1").contains("missing field `objective`"));
        assert!(problem("[train]\nobjectives = [\"spt\"]").starts_with("unknown objective"));
    }
}

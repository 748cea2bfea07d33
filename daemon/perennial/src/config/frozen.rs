use serde_json::{Value, json};

use super::{Config, renamed};

/// Reads the configuration that a cycle was begun with, whatever version wrote it: a key that came later means what was done
/// before there was one.
///
/// # Errors
/// Where this version does not know one of its keys or values.
pub(crate) fn read_frozen(mut frozen: Value) -> Result<Config, serde_json::Error> {
    renamed::in_frozen(&mut frozen);
    if let Some(ingest) = frozen.get_mut("ingest").and_then(Value::as_object_mut) {
        ingest.entry("prompt_as_chat").or_insert(json!(false));
    }
    if let Some(replay) = frozen.get_mut("replay").and_then(Value::as_object_mut) {
        replay.entry("fallen_ratio").or_insert(json!(0.0));
        replay.entry("base_answers").or_insert(json!({ "ratio": 0.0 }));
    }
    if let Some(cycle) = frozen.get_mut("cycle").and_then(Value::as_object_mut) {
        cycle.entry("twin_similarity").or_insert(json!(1.0));
    }
    if let Some(train) = frozen.get_mut("train") {
        as_before_validation(train);
    }
    serde_json::from_value(frozen)
}

impl Config {
    /// Whether the same samples would be learned, scored or judged otherwise under this other configuration.
    pub(crate) fn teaches_otherwise(&self, other: &Self) -> bool {
        let of = |config: &Self| {
            let Self { model, replay, train, grpo, rollout, reward, gate, .. } = config.clone();
            (model, replay, train, grpo, rollout, reward, gate)
        };
        of(self) != of(other)
    }
}

/// Fills in what the keys of `[train]` that a file does not have stood for before there were such keys: no validation, and nothing
/// that is chosen by one.
pub(crate) fn as_before_validation(train: &mut Value) {
    if let Some(train) = train.as_object_mut() {
        train.entry("validation_fraction").or_insert(json!(0.0));
        train.entry("interpolate").or_insert(json!([]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_or_judged_otherwise_is_another_try() {
        let one = Config::default();
        let mut other = one.clone();
        other.http.body_bytes_max += 1;
        assert!(!one.teaches_otherwise(&other));
        other.gate.margin = 0.2;
        assert!(one.teaches_otherwise(&other));
    }

    #[test]
    fn a_cycle_from_before_a_key_goes_on_as_it_began() {
        let mut frozen = serde_json::to_value(Config::default()).unwrap();
        assert!(read_frozen(frozen.clone()).unwrap().ingest.prompt_as_chat);
        frozen["ingest"].as_object_mut().unwrap().remove("prompt_as_chat");
        for key in ["fallen_ratio", "base_answers"] {
            frozen["replay"].as_object_mut().unwrap().remove(key);
        }
        for key in ["validation_fraction", "interpolate"] {
            frozen["train"].as_object_mut().unwrap().remove(key);
        }
        let read = read_frozen(frozen).unwrap();
        assert!(!read.ingest.prompt_as_chat);
        assert_eq!((read.replay.fallen_ratio, read.replay.base_answers.ratio), (0.0, 0.0));
        assert_eq!((read.train.validation_fraction, read.train.interpolate), (0.0, vec![]));
    }

    #[test]
    fn a_cycle_from_before_a_key_had_its_name_goes_on_as_it_began() {
        let mut config = Config::default();
        config.replay.base_answers.ratio = 0.3;
        let mut frozen = serde_json::to_value(&config).unwrap();
        let replay = frozen["replay"].as_object_mut().unwrap();
        let answers = replay.remove("base_answers").unwrap();
        replay.insert("anchor".to_owned(), answers);
        assert_eq!(read_frozen(frozen).unwrap(), config);
    }
}

use serde_json::{Value, json};

use super::Config;

/// Reads the configuration that a cycle was begun with, whatever version wrote it: a key that came later means what was done
/// before there was one.
///
/// # Errors
/// Where this version does not know one of its keys or values.
pub(crate) fn read_frozen(mut frozen: Value) -> Result<Config, serde_json::Error> {
    if let Some(ingest) = frozen.get_mut("ingest").and_then(Value::as_object_mut) {
        ingest.entry("prompt_as_chat").or_insert(json!(false));
    }
    serde_json::from_value(frozen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_from_before_a_key_goes_on_as_it_began() {
        let mut frozen = serde_json::to_value(Config::default()).unwrap();
        assert!(read_frozen(frozen.clone()).unwrap().ingest.prompt_as_chat);
        frozen["ingest"].as_object_mut().unwrap().remove("prompt_as_chat");
        assert!(!read_frozen(frozen).unwrap().ingest.prompt_as_chat);
    }
}

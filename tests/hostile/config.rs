//! Configurations that would do harm, and schemas that would.

use perennial_reward::PluginOptions;
use serde_json::json;

use crate::{
    guest::Guest,
    support::{host, options, refusal_with},
};

fn refused(schema: &str, config: serde_json::Value) -> String {
    refusal_with(&Guest { schema, ..Guest::default() }.module(), &PluginOptions { config, ..options() })
}

#[test]
fn a_huge_configuration_is_refused_before_anything_else() {
    let config = json!({ "words": "x".repeat(1 << 20) });
    assert_eq!(
        refusal_with(b"not even WASM", &PluginOptions { config, ..options() }),
        "plugin suspect: its configuration has 1048588 bytes, more than the 262144 allowed: shorten it, or raise \
         config_bytes_max"
    );
}

#[test]
fn a_configuration_is_held_to_the_schema_when_it_is_loaded() {
    let schema = r#"{"type": "object", "properties": {"tolerance": {"type": "number", "minimum": 0}},
        "required": ["tolerance"], "additionalProperties": false}"#;
    let line = refused(schema, json!({ "tolerance": -1 }));
    assert_eq!(
        line,
        "plugin suspect: its configuration is refused by its schema: /tolerance: -1 is less than the minimum of 0"
    );
    assert!(refused(schema, json!({})).contains(r#""tolerance" is a required property"#));
    assert!(refused(schema, json!({ "tolerance": 1, "speed": 2 })).contains("'speed' was unexpected"));
    let good = PluginOptions { config: json!({ "tolerance": 0.5 }), ..options() };
    host().load_bytes(&Guest { schema, ..Guest::default() }.module(), &good).unwrap();
}

#[test]
fn the_configurations_fingerprint_is_that_of_its_meaning() {
    let hash = |config| {
        let options = PluginOptions { config, ..options() };
        host().load_bytes(&Guest::default().module(), &options).unwrap().identity().config_hash
    };
    assert_eq!(hash(json!({ "a": { "x": 1, "y": 2 }, "b": [1] })), hash(json!({ "b": [1], "a": { "y": 2, "x": 1 } })));
    assert_ne!(hash(json!({ "a": 1 })), hash(json!({ "a": 2 })));
}

#[test]
fn a_schema_reaches_for_nothing_outside() {
    for reference in ["http://127.0.0.1:9/schema.json", "file:///etc/passwd", "https://example.org/x"] {
        let line = refused(&json!({ "$ref": reference }).to_string(), json!({}));
        assert!(line.contains("config-schema refers to"), "{line}");
        assert!(line.contains("write the definition into it"), "{line}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_without_end_takes_nothing_down() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        json!({ "$dynamicAnchor": "x", "$dynamicRef": "#x" }),
    ] {
        let _ = host().load_bytes(&Guest { schema: &schema.to_string(), ..Guest::default() }.module(), &options());
    }
}

/// Of definitions, each asks the next one twice: 40 of them ask the last one 2^40 times.
#[test]
fn a_schema_whose_definitions_multiply_is_refused_at_once() {
    for count in [15, 40] {
        let definition = |at: usize| {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            (format!("d{at}"), json!({ "anyOf": [next, next] }))
        };
        let mut definitions: serde_json::Map<String, serde_json::Value> = (0..count).map(definition).collect();
        definitions.insert(format!("d{count}"), json!({ "type": "string" }));
        let schema = json!({ "$defs": definitions, "$ref": "#/$defs/d0" }).to_string();
        let started = std::time::Instant::now();
        let line = refused(&schema, json!({ "a": 1 }));
        assert!(line.contains("config-schema takes more than") || line.contains("lead through each other"), "{line}");
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}

#[test]
fn a_pattern_that_backtracks_without_end_comes_to_an_end() {
    let schema = r#"{"properties": {"a": {"pattern": "^(a+)+(?=b)$"}}}"#;
    let started = std::time::Instant::now();
    let config = json!({ "a": format!("{}!", "a".repeat(40)) });
    let _ = host().load_bytes(&Guest { schema, ..Guest::default() }.module(), &PluginOptions { config, ..options() });
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

use serde_json::{Map, Value, json};

use super::super::{Input, Kind, random::Random};
use crate::guest::Guest;

/// Plugins whose `config-schema` is the trap.
pub(in super::super) struct Schemas;

impl Kind for Schemas {
    fn name(&self) -> &'static str {
        "schemas"
    }

    fn input(&self, random: &mut Random) -> Input {
        let schema = schema(random);
        let bytes = Guest { schema: &schema, ..Guest::default() }.module();
        let config = random.pick(&[
            "{}",
            r#"{"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}"#,
            r#"{"a": [[[[[[[[1]]]]]]]]}"#,
        ]);
        let arguments = ["plugin", "inspect", "{}/suspect.wasm", "--plugin-config", config];
        let arguments = arguments.map(str::to_owned).to_vec();
        Input::Command { files: vec![("suspect.wasm".to_owned(), bytes)], arguments }
    }
}

fn schema(random: &mut Random) -> String {
    let count = random.size(2, 200);
    let keyword = *random.pick(&["anyOf", "allOf", "oneOf"]);
    let value = match random.below(8) {
        0 => chained(count, |next| json!({ keyword: [next, next] })),
        1 => chained(count, |next| json!({ "properties": { "a": next }, "additionalProperties": next })),
        2 => {
            json!({ "$defs": { "a": { keyword: [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" })
        }
        3 => (0..count).fold(json!({}), |inner, _| json!({ "not": { "items": inner } })),
        4 => json!({ "properties": { "a": { "pattern": format!("^({}+)+$", "a?".repeat(count)) } } }),
        5 => json!({ "properties": { "a": { "pattern": "(x{0,1000}){0,1000}" } } }),
        6 => json!({ "$ref": random.pick(&["http://127.0.0.1:1/", "file:///etc/passwd", "#", "#/none", "urn:x"]) }),
        _ => {
            let sound =
                json!({ "type": "object", "properties": { "a": { "type": "number", "minimum": 0 } } }).to_string();
            return String::from_utf8_lossy(&random.damaged(sound.as_bytes())).into_owned();
        }
    };
    value.to_string()
}

/// Definitions of which each is made of the next one.
fn chained(count: usize, of: impl Fn(&Value) -> Value) -> Value {
    let reference = |at: usize| json!({ "$ref": format!("#/$defs/d{at}") });
    let mut definitions: Map<String, Value> = (0..count).map(|at| (format!("d{at}"), of(&reference(at + 1)))).collect();
    definitions.insert(format!("d{count}"), json!({ "type": "string" }));
    json!({ "$defs": definitions, "$ref": "#/$defs/d0" })
}

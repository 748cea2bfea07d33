use perennial_reward_sdk::{
    Fault,
    schemars::schema_for,
    serde_json::{Value, json},
};
use proptest::prelude::*;

use super::{report::Report, *};

fn schema(schema: Value) -> Schema {
    Schema::new(Document(schema)).unwrap()
}

#[test]
fn reports_share_and_first_violation() {
    let ticket = schema(json!({
        "type": "object",
        "properties": { "id": { "type": "integer", "minimum": 1 }, "tags": { "items": { "type": "string" } } },
        "required": ["id", "tags"],
        "additionalProperties": false,
    }));
    let met = ticket.check(&json!({ "id": 3, "tags": ["a"] }));
    assert_eq!(met, Report { demands: 6, violations: 0, first: None });
    let report = ticket.check(&json!({ "id": 0, "tags": ["a", 1], "x": null }));
    assert_eq!((report.demands, report.violations), (8, 3));
    let report = ticket.check(&json!({ "id": 0, "tags": [] }));
    assert_eq!(report.first.as_deref(), Some("/id: less than 1"));
    assert_eq!(ticket.check(&json!([])).first.as_deref(), Some("the document: not of type \"object\""));
}

#[test]
fn references_in_circles_end() {
    let list = schema(json!({ "type": "object", "properties": { "next": { "$ref": "#" } } }));
    assert_eq!(list.check(&json!({ "next": { "next": {} } })).violations, 0);
    assert_eq!(list.check(&json!({ "next": { "next": 1 } })).violations, 1);
    let circle = schema(json!({ "$ref": "#" }));
    assert!(circle.check(&json!(1)).first.unwrap().contains("circles"));
}

#[test]
fn schemas_that_cannot_be_followed_are_refused() {
    let refused = |schema| match Schema::new(Document(schema)) {
        Err(Fault::BadConfig(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    assert!(refused(json!({ "properties": { "a": { "contains": {} } } })).contains("`schema/properties/a/contains`"));
    assert!(refused(json!({ "allOf": [{ "$ref": "#/$defs/no" }] })).contains("#/$defs/no is not in the schema"));
    assert!(refused(json!({ "pattern": "(" })).contains("no pattern"));
}

// The operator's schema is checked by the host against this one, when the plugin is loaded.
#[test]
fn keywords_are_known_when_the_plugin_is_loaded() {
    let own = schema_for!(Document).to_value();
    let own = jsonschema::validator_for(&own).unwrap();
    assert!(own.is_valid(&json!({ "type": ["object", "null"], "properties": { "a": true } })));
    assert!(!own.is_valid(&json!({ "properties": { "a": { "contains": {} } } })));
    assert!(!own.is_valid(&json!({ "type": "text" })));
    assert!(!own.is_valid(&json!({ "minLength": -1 })));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3..4i64).prop_map(Value::from),
        prop_oneof![Just(json!(1.0)), Just(json!(0.5)), Just(json!(-2.25))],
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn keyword() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["string", "integer", "number", "object", "array", "null", "boolean"]);
    prop_oneof![
        name.clone().prop_map(|name| json!({ "type": name })),
        prop::collection::btree_set(name, 1..3).prop_map(|names| json!({ "type": names })),
        value().prop_map(|value| json!({ "const": value })),
        prop::collection::vec(value(), 1..3).prop_map(|values| json!({ "enum": values })),
        (-2..3i64).prop_map(|limit| json!({ "minimum": limit, "exclusiveMaximum": limit + 2 })),
        (-2..3i64).prop_map(|limit| json!({ "exclusiveMinimum": limit, "maximum": limit + 2 })),
        Just(json!({ "multipleOf": 0.5 })),
        (0..3u64).prop_map(|limit| json!({ "minLength": limit, "maxLength": limit + 1 })),
        (0..3u64).prop_map(|limit| json!({ "minItems": limit, "maxItems": limit + 1 })),
        (0..3u64).prop_map(|limit| json!({ "minProperties": limit, "maxProperties": limit + 1 })),
        Just(json!({ "pattern": "^a" })),
        Just(json!({ "uniqueItems": true })),
        Just(json!({ "required": ["a", "b"] })),
        Just(json!({ "$ref": "#/$defs/shared" })),
        Just(json!({ "propertyNames": { "pattern": "[ab]" } })),
    ]
}

fn keywords() -> impl Strategy<Value = Value> {
    keyword().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|schema| json!({ "items": schema })),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "prefixItems": [a], "items": b })),
            (inner.clone(), any::<bool>())
                .prop_map(|(schema, more)| json!({ "properties": { "a": schema }, "additionalProperties": more })),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({
                "patternProperties": { "[bc]": a }, "additionalProperties": b,
            })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|schemas| json!({ "allOf": schemas })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|schemas| json!({ "anyOf": schemas })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|schemas| json!({ "oneOf": schemas })),
            inner.clone().prop_map(|schema| json!({ "not": schema })),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| json!({ "if": a, "then": b, "else": c })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_the_jsonschema_crate(keywords in keywords(), document in value()) {
        let mut rules = keywords;
        rules["$defs"] = json!({ "shared": { "type": ["object", "string"] } });
        let reference = jsonschema::validator_for(&rules).unwrap();
        let report = schema(rules).check(&document);
        prop_assert_eq!(report.violations == 0, reference.is_valid(&document), "{:?}", report);
    }
}

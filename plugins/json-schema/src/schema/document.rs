use std::borrow::Cow;

use perennial_reward_sdk::{
    Fault,
    schemars::{JsonSchema, Schema, SchemaGenerator, json_schema},
    serde::Deserialize,
    serde_json::{Map, Value},
};

/// A schema as it is configured. What it may consist of is part of the plugin's own configuration schema, so that a
/// keyword that is not understood is refused when the plugin is loaded, not silently ignored.
#[derive(Debug, Deserialize)]
#[serde(crate = "perennial_reward_sdk::serde", transparent)]
pub(crate) struct Document(pub(crate) Value);

/// What a keyword's value is.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Anything: annotations and constants.
    Any,
    /// A type's name or several.
    Type,
    Array,
    Boolean,
    /// A whole number, not negative.
    Count,
    Number,
    Positive,
    Text,
    Texts,
    /// A schema.
    One,
    /// An array of schemas.
    Many,
    /// An object of schemas.
    Named,
}

/// The keywords that are understood.
#[rustfmt::skip]
pub(crate) const KEYWORDS: &[(&str, Shape)] = &[
    ("$comment", Shape::Any), ("$defs", Shape::Named), ("$id", Shape::Any), ("$ref", Shape::Text),
    ("$schema", Shape::Any), ("additionalProperties", Shape::One), ("allOf", Shape::Many), ("anyOf", Shape::Many),
    ("const", Shape::Any), ("default", Shape::Any), ("definitions", Shape::Named), ("deprecated", Shape::Any),
    ("description", Shape::Any), ("else", Shape::One), ("enum", Shape::Array), ("examples", Shape::Any),
    ("exclusiveMaximum", Shape::Number), ("exclusiveMinimum", Shape::Number), ("format", Shape::Any),
    ("if", Shape::One), ("items", Shape::One), ("maxItems", Shape::Count), ("maxLength", Shape::Count),
    ("maxProperties", Shape::Count), ("maximum", Shape::Number), ("minItems", Shape::Count),
    ("minLength", Shape::Count), ("minProperties", Shape::Count), ("minimum", Shape::Number),
    ("multipleOf", Shape::Positive), ("not", Shape::One), ("oneOf", Shape::Many), ("pattern", Shape::Text),
    ("patternProperties", Shape::Named), ("prefixItems", Shape::Many), ("properties", Shape::Named),
    ("propertyNames", Shape::One), ("required", Shape::Texts), ("then", Shape::One), ("title", Shape::Any),
    ("type", Shape::Type), ("uniqueItems", Shape::Boolean),
];

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Self>();
        let shape = |shape: Shape| match shape {
            Shape::Any => json_schema!({}),
            Shape::Type => json_schema!({ "anyOf": [
                { "enum": TYPES },
                { "type": "array", "items": { "enum": TYPES }, "minItems": 1 },
            ] }),
            Shape::Array => json_schema!({ "type": "array" }),
            Shape::Boolean => json_schema!({ "type": "boolean" }),
            Shape::Count => json_schema!({ "type": "integer", "minimum": 0 }),
            Shape::Number => json_schema!({ "type": "number" }),
            Shape::Positive => json_schema!({ "type": "number", "exclusiveMinimum": 0 }),
            Shape::Text => json_schema!({ "type": "string" }),
            Shape::Texts => json_schema!({ "type": "array", "items": { "type": "string" } }),
            Shape::One => one.clone(),
            Shape::Many => json_schema!({ "type": "array", "items": one, "minItems": 1 }),
            Shape::Named => json_schema!({ "type": "object", "additionalProperties": one }),
        };
        let properties: Map<String, Value> =
            KEYWORDS.iter().map(|(name, of)| ((*name).to_owned(), shape(*of).to_value())).collect();
        json_schema!({ "type": ["object", "boolean"], "properties": properties, "additionalProperties": false })
    }
}

/// Calls `visit` with each schema in a document and the pointer to it, the document itself first.
pub(crate) fn walk(
    schema: &Value,
    pointer: &str,
    visit: &mut impl FnMut(&Map<String, Value>, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Value::Object(keywords) = schema else { return Ok(()) };
    visit(keywords, pointer)?;
    for (name, value) in keywords {
        let shape = KEYWORDS.iter().find(|(keyword, _)| keyword == name).map(|(_, shape)| *shape);
        match (shape, value) {
            (None, _) => {
                return Err(Fault::bad_config(format!("`schema{pointer}/{name}` is no keyword that is understood")));
            }
            (Some(Shape::One), below) => walk(below, &format!("{pointer}/{name}"), visit)?,
            (Some(Shape::Many), Value::Array(below)) => {
                for (at, below) in below.iter().enumerate() {
                    walk(below, &format!("{pointer}/{name}/{at}"), visit)?;
                }
            }
            (Some(Shape::Named), Value::Object(below)) => {
                for (key, below) in below {
                    walk(below, &format!("{pointer}/{name}/{key}"), visit)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

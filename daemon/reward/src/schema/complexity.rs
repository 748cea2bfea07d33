use std::collections::BTreeMap;

use serde_json::Value;

/// How deeply a schema nests.
pub(crate) const DEPTH_MAX: usize = 64;
/// The references of a schema that lead through each other.
pub(crate) const REFERENCE_CHAIN_MAX: usize = 16;
/// The values that are looked at, references followed: a schema without references has one for each of its values.
pub(crate) const STEPS_MAX: u64 = 100_000;
/// The regular expressions of a schema.
pub(crate) const PATTERNS_MAX: usize = 64;
/// The length of a regular expression, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 1024;

/// The keywords whose schemas hold for what is in a value, and not for the value itself.
const INWARD: [&str; 9] = [
    "properties",
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
];

/// Holds a schema to what a configuration can need, before anything works on it: a schema may take no more steps than
/// [`STEPS_MAX`], however its definitions refer to each other, and reach for nothing outside itself. A definition may refer
/// to itself for what is in a value, as that of a tree does: then it is the configuration that ends it, and how often the
/// same part of it is looked at is bounded by nothing here.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    let mut walk = Walk { root: schema, steps: BTreeMap::new(), patterns: 0, depth: 0, inward: 0, chain: Vec::new() };
    walk.value(schema).map(|_| ())
}

struct Walk<'s> {
    root: &'s Value,
    /// Of each definition, by the reference to it.
    steps: BTreeMap<&'s str, u64>,
    patterns: usize,
    depth: usize,
    /// How far inside the configuration's value the schema holds.
    inward: usize,
    /// The references that are being followed, with how far inside each stands.
    chain: Vec<(&'s str, usize)>,
}

impl<'s> Walk<'s> {
    fn value(&mut self, value: &'s Value) -> Result<u64, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("nests more deeply than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let mut steps = 1_u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    steps = steps.saturating_add(self.value(item)?);
                }
            }
            Value::Object(object) => {
                for (key, value) in object {
                    steps = steps.saturating_add(self.keyword(key, value)?);
                }
            }
            _ => {}
        }
        self.depth -= 1;
        if steps > STEPS_MAX {
            return Err(format!("takes more than {STEPS_MAX} steps with its references followed"));
        }
        Ok(steps)
    }

    fn keyword(&mut self, key: &'s str, value: &'s Value) -> Result<u64, String> {
        match (key, value) {
            ("$ref", Value::String(reference)) => self.reference(reference),
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                Err(format!("has a {key}: write a $ref to a definition"))
            }
            // The base of references would be another one below it.
            ("$id", Value::String(_)) if self.depth > 1 => Err("has an $id within: leave it out".to_owned()),
            ("pattern", Value::String(pattern)) => self.pattern(pattern),
            ("patternProperties", Value::Object(patterns)) => {
                patterns.keys().try_for_each(|pattern| self.pattern(pattern).map(|_| ()))?;
                self.inward(value)
            }
            _ if INWARD.contains(&key) => self.inward(value),
            _ => self.value(value),
        }
    }

    fn inward(&mut self, value: &'s Value) -> Result<u64, String> {
        self.inward += 1;
        let steps = self.value(value)?;
        self.inward -= 1;
        Ok(steps)
    }

    fn pattern(&mut self, pattern: &str) -> Result<u64, String> {
        self.patterns += 1;
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("has a pattern of {} bytes, more than {PATTERN_BYTES_MAX}", pattern.len()));
        }
        if self.patterns > PATTERNS_MAX {
            return Err(format!("has more than {PATTERNS_MAX} patterns"));
        }
        Ok(1)
    }

    fn reference(&mut self, reference: &'s str) -> Result<u64, String> {
        if let Some(steps) = self.steps.get(reference) {
            return Ok(*steps);
        }
        let named = crate::text::cut(reference, 80);
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer =
            pointer.ok_or_else(|| format!("refers to {named:?}: write the definition into it, as #/$defs/name"))?;
        if let Some((_, inward)) = self.chain.iter().find(|(known, _)| *known == reference) {
            if *inward < self.inward {
                return Ok(1);
            }
            return Err(format!("refers to itself by {named:?} without end: it may do so only for what is in a value"));
        }
        if self.chain.len() == REFERENCE_CHAIN_MAX {
            return Err(format!("has more than {REFERENCE_CHAIN_MAX} references that lead through each other"));
        }
        let target = self.root.pointer(&decoded(pointer));
        let target = target.ok_or_else(|| format!("refers to {named:?}, which is not in it"))?;
        self.chain.push((reference, self.inward));
        let depth = std::mem::replace(&mut self.depth, 1);
        let steps = self.value(target)?;
        self.depth = depth;
        self.chain.pop();
        self.steps.insert(reference, steps);
        Ok(steps.saturating_add(1))
    }
}

/// A fragment of a URI with its escapes read (RFC 6901, section 6).
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Definitions, each of which asks the next one twice.
    fn doubling(count: usize) -> Value {
        let next = |at: usize| json!({ "$ref": format!("#/$defs/d{at}") });
        let mut definitions: serde_json::Map<String, Value> =
            (0..count).map(|at| (format!("d{at}"), json!({ "anyOf": [next(at + 1), next(at + 1)] }))).collect();
        definitions.insert(format!("d{count}"), json!({ "type": "string" }));
        json!({ "$defs": definitions, "$ref": "#/$defs/d0" })
    }

    #[test]
    fn what_references_multiply_is_counted() {
        check(&doubling(8)).unwrap();
        for count in [15, 40, 1000] {
            let refused = check(&doubling(count)).unwrap_err();
            assert!(refused.contains("steps") || refused.contains("lead through each other"), "{refused}");
        }
    }

    #[test]
    fn a_schema_stays_within_itself() {
        let refused = |schema: Value| check(&schema).unwrap_err();
        for reference in ["http://127.0.0.1:9/x", "file:///etc/passwd", "other.json", "#anchor", "other.json#/a"] {
            assert!(refused(json!({ "$ref": reference })).contains("write the definition into it"), "{reference}");
        }
        assert!(refused(json!({ "$ref": "#/$defs/x" })).contains("which is not in it"));
        assert!(refused(json!({ "$ref": "#" })).contains("refers to itself"));
        let circle = json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
        assert!(refused(circle).contains("refers to itself"));
        let around = json!({ "$defs": { "a": { "items": true, "allOf": [{ "not": { "$ref": "#/$defs/a" } }] } }, "$ref": "#/$defs/a" });
        assert!(refused(around).contains("without end"));
        let tree = json!({ "$defs": { "tree": { "properties": { "children": { "items": { "$ref": "#/$defs/tree" } } } } },
            "$ref": "#/$defs/tree" });
        check(&tree).unwrap();
        assert!(refused(json!({ "$dynamicAnchor": "x", "$dynamicRef": "#x" })).contains("$dynamicRef"));
        assert!(refused(json!({ "allOf": [{ "$id": "http://x/" }] })).contains("$id"));
        check(&json!({ "$id": "http://x/", "$defs": { "a b": {}, "c/d": {} }, "allOf": [{ "$ref": "#/$defs/a%20b" },
            { "$ref": "#/$defs/c~1d" }] }))
        .unwrap();
    }

    #[test]
    fn depth_and_patterns_are_bounded() {
        let deep = (0..DEPTH_MAX).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert!(check(&deep).unwrap_err().contains("nests more deeply"));
        assert!(check(&json!({ "pattern": "a".repeat(1025) })).unwrap_err().contains("1025 bytes"));
        let many: serde_json::Map<String, Value> = (0..65).map(|at| (format!("^{at}$"), json!({}))).collect();
        assert!(check(&json!({ "patternProperties": many })).unwrap_err().contains("more than 64 patterns"));
        // A property may be called as a keyword is.
        check(&json!({ "properties": { "$ref": { "type": "string" }, "pattern": { "type": "string" } } })).unwrap();
    }

    proptest! {
        #[test]
        fn escapes_are_read_without_panicking(fragment in ".{0,30}") {
            let _ = decoded(&fragment);
        }
    }
}

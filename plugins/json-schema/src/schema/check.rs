use std::collections::BTreeMap;

use perennial_reward_sdk::{
    Fault,
    serde_json::{Map, Value},
};
use regex_lite::Regex;

use super::{
    document::{Document, walk},
    equal,
    keyword::{count, elements, is_of_type, of_number},
    report::Report,
};

/// How deeply schemas may call each other. The parser nests documents no deeper; only `$ref` in circles goes beyond.
const DEPTH_MAX: usize = 128;

/// A schema, ready to check documents.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

/// What is checked, and where it is.
#[derive(Clone, Copy)]
struct At<'a> {
    value: &'a Value,
    path: &'a str,
    depth: usize,
}

impl Schema {
    /// Makes a schema ready.
    ///
    /// # Errors
    /// [`Fault::BadConfig`] for keywords that are not understood, references that lead nowhere, and wrong patterns.
    pub(crate) fn new(Document(root): Document) -> Result<Self, Fault> {
        let mut patterns = BTreeMap::new();
        walk(&root, "", &mut |keywords, pointer| {
            let reference = keywords.get("$ref").and_then(Value::as_str);
            if let Some(reference) = reference.filter(|reference| resolve(&root, reference).is_none()) {
                return Err(Fault::bad_config(format!("`schema{pointer}/$ref`: {reference} is not in the schema")));
            }
            let names = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
            let own = keywords.get("pattern").and_then(Value::as_str);
            for pattern in names.map(String::as_str).chain(own) {
                let regex = Regex::new(pattern).map_err(|error| {
                    Fault::bad_config(format!("`schema{pointer}`: {pattern} is no pattern: {error}"))
                })?;
                patterns.insert(pattern.to_owned(), regex);
            }
            Ok(())
        })?;
        Ok(Self { root, patterns })
    }

    /// Checks a document.
    pub(crate) fn check(&self, document: &Value) -> Report {
        let mut report = Report::default();
        self.apply(&self.root, At { value: document, path: "", depth: 0 }, &mut report);
        report
    }

    fn holds(&self, schema: &Value, at: At<'_>) -> bool {
        let mut report = Report::default();
        self.apply(schema, at, &mut report);
        report.violations == 0
    }

    fn apply(&self, schema: &Value, at: At<'_>, report: &mut Report) {
        let at = At { depth: at.depth + 1, ..at };
        if at.depth > DEPTH_MAX {
            return report.demand(false, at.path, || "the schema goes in circles".to_owned());
        }
        match schema {
            Value::Object(keywords) => {
                for (keyword, demand) in keywords {
                    self.keyword(keyword, demand, keywords, at, report);
                }
            }
            Value::Bool(false) => report.demand(false, at.path, || "must not be there".to_owned()),
            // `true` demands nothing.
            _ => {}
        }
    }

    fn keyword(&self, keyword: &str, demand: &Value, siblings: &Map<String, Value>, at: At<'_>, report: &mut Report) {
        match keyword {
            "type" => report.demand(is_of_type(at.value, demand), at.path, || format!("not of type {demand}")),
            "const" => report.demand(equal(at.value, demand), at.path, || format!("not {demand}")),
            "enum" => {
                let is_one = elements(demand).iter().any(|one| equal(at.value, one));
                report.demand(is_one, at.path, || format!("none of {demand}"));
            }
            "$ref" => {
                if let Some(schema) = demand.as_str().and_then(|reference| resolve(&self.root, reference)) {
                    self.apply(schema, at, report);
                }
            }
            "allOf" => elements(demand).iter().for_each(|schema| self.apply(schema, at, report)),
            "anyOf" => {
                let any = elements(demand).iter().any(|schema| self.holds(schema, at));
                report.demand(any, at.path, || "fits none of anyOf".to_owned());
            }
            "oneOf" => {
                let count = elements(demand).iter().filter(|schema| self.holds(schema, at)).count();
                report.demand(count == 1, at.path, || format!("fits {count} of oneOf"));
            }
            "not" => report.demand(!self.holds(demand, at), at.path, || "fits what it must not".to_owned()),
            "if" => {
                let branch = if self.holds(demand, at) { "then" } else { "else" };
                if let Some(schema) = siblings.get(branch) {
                    self.apply(schema, at, report);
                }
            }
            _ => self.keyword_of_type(keyword, demand, siblings, at, report),
        }
    }

    fn keyword_of_type(
        &self,
        keyword: &str,
        demand: &Value,
        siblings: &Map<String, Value>,
        at: At<'_>,
        report: &mut Report,
    ) {
        match at.value {
            Value::Number(number) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                of_number(keyword, demand, value, at.path, report);
            }
            Value::String(text) => self.text_keyword(keyword, demand, text, at, report),
            Value::Array(values) => self.array_keyword(keyword, demand, values, siblings, at, report),
            Value::Object(fields) => self.object_keyword(keyword, demand, fields, siblings, at, report),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text_keyword(&self, keyword: &str, demand: &Value, text: &str, at: At<'_>, report: &mut Report) {
        match keyword {
            "minLength" => {
                report.demand(text.chars().count() >= count(demand), at.path, || format!("shorter than {demand}"))
            }
            "maxLength" => {
                report.demand(text.chars().count() <= count(demand), at.path, || format!("longer than {demand}"))
            }
            "pattern" => {
                let matches = demand.as_str().is_some_and(|pattern| self.matches(pattern, text));
                report.demand(matches, at.path, || format!("does not match {demand}"));
            }
            _ => {}
        }
    }

    fn array_keyword(
        &self,
        keyword: &str,
        demand: &Value,
        values: &[Value],
        siblings: &Map<String, Value>,
        at: At<'_>,
        report: &mut Report,
    ) {
        let mut element = |place: usize, schema: &Value| {
            let path = format!("{}/{place}", at.path);
            self.apply(schema, At { value: &values[place], path: &path, ..at }, report);
        };
        match keyword {
            "prefixItems" => {
                elements(demand)
                    .iter()
                    .enumerate()
                    .take(values.len())
                    .for_each(|(place, schema)| element(place, schema));
            }
            "items" => {
                let prefix = siblings.get("prefixItems").map_or(0, |prefix| elements(prefix).len());
                (prefix..values.len()).for_each(|place| element(place, demand));
            }
            "minItems" => {
                report.demand(values.len() >= count(demand), at.path, || format!("fewer than {demand} elements"))
            }
            "maxItems" => {
                report.demand(values.len() <= count(demand), at.path, || format!("more than {demand} elements"))
            }
            "uniqueItems" if demand == &Value::Bool(true) => {
                let unique =
                    (1..values.len()).all(|later| !values[..later].iter().any(|one| equal(one, &values[later])));
                report.demand(unique, at.path, || "has equal elements".to_owned());
            }
            _ => {}
        }
    }

    fn object_keyword(
        &self,
        keyword: &str,
        demand: &Value,
        fields: &Map<String, Value>,
        siblings: &Map<String, Value>,
        at: At<'_>,
        report: &mut Report,
    ) {
        let mut field = |name: &str, value: &Value, schema: &Value| {
            let path = format!("{}/{name}", at.path);
            self.apply(schema, At { value, path: &path, ..at }, report);
        };
        match (keyword, demand) {
            ("properties", Value::Object(schemas)) => {
                let given = schemas.iter().filter_map(|(name, schema)| Some((name, fields.get(name)?, schema)));
                given.for_each(|(name, value, schema)| field(name, value, schema));
            }
            ("patternProperties", Value::Object(schemas)) => {
                for (pattern, schema) in schemas {
                    let named = fields.iter().filter(|(name, _)| self.matches(pattern, name));
                    named.for_each(|(name, value)| field(name, value, schema));
                }
            }
            ("additionalProperties", schema) => {
                let others = fields.iter().filter(|(name, _)| !self.is_named(name, siblings));
                others.for_each(|(name, value)| field(name, value, schema));
            }
            ("propertyNames", schema) => {
                fields.keys().for_each(|name| field(name, &Value::String(name.clone()), schema));
            }
            ("required", names) => {
                for name in elements(names).iter().filter_map(Value::as_str) {
                    report.demand(fields.contains_key(name), at.path, || format!("lacks {name:?}"));
                }
            }
            ("minProperties", _) => {
                report.demand(fields.len() >= count(demand), at.path, || format!("fewer than {demand} fields"));
            }
            ("maxProperties", _) => {
                report.demand(fields.len() <= count(demand), at.path, || format!("more than {demand} fields"));
            }
            _ => {}
        }
    }

    fn is_named(&self, name: &str, siblings: &Map<String, Value>) -> bool {
        let names = |keyword: &str| siblings.get(keyword).and_then(Value::as_object);
        names("properties").is_some_and(|names| names.contains_key(name))
            || names("patternProperties").is_some_and(|names| names.keys().any(|pattern| self.matches(pattern, name)))
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
    }
}

// What `#` and `#/$defs/name` name. References to other documents are not followed.
fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

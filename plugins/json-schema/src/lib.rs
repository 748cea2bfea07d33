//! Reward plugin: whether the answer is JSON, follows a schema, and has the reference's fields. See the README.

mod fields;
mod find;
mod schema;

use perennial_reward_sdk::{
    export,
    prelude::*,
    serde_json::{self, Value},
    text::Extract,
};

use crate::{
    fields::{Compare, field_f1},
    find::parse,
    schema::{Document, Schema},
};

/// How much each part counts. Parts that do not apply (no schema, no reference) are left out of the mean.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Weights {
    /// Whether the answer is JSON.
    #[schemars(range(min = 0.0))]
    valid: f64,
    /// Whether it follows the schema.
    #[schemars(range(min = 0.0))]
    schema: f64,
    /// How many of the schema's demands it meets.
    #[schemars(range(min = 0.0))]
    schema_share: f64,
    /// How many of the reference's fields it has right, and no others.
    #[schemars(range(min = 0.0))]
    field_f1: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { valid: 0.2, schema: 0.3, schema_share: 0.0, field_f1: 0.5 }
    }
}

/// The keys of the configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the JSON is.
    extract: Extract,
    /// Takes the first JSON object or array inside the text, instead of asking that all of the text is JSON.
    embedded: bool,
    /// The JSON schema (draft 2020-12) that the answer should follow.
    // Without `null` beside it, what is wrong in a schema is named by its place.
    #[schemars(with = "Document")]
    schema: Option<Document>,
    /// How fields are compared with the reference's.
    compare: Compare,
    /// How much each part counts.
    weights: Weights,
}

/// Rewards the weighted mean of the parts that apply.
pub struct JsonReward {
    extract: Extract,
    embedded: bool,
    schema: Option<Schema>,
    compare: Compare,
    weights: Weights,
}

impl Reward for JsonReward {
    type Config = Config;

    fn describe() -> Descriptor {
        let help = "Whether the answer is JSON, follows a schema, and has the reference's fields.";
        Descriptor::new("json-schema", env!("CARGO_PKG_VERSION"), help)
            .part("valid", 0.0..=1.0, "whether the answer is JSON")
            .part("schema", 0.0..=1.0, "whether it follows the schema")
            .part("schema_share", 0.0..=1.0, "the share of the schema's demands that it meets")
            .part("field_f1", 0.0..=1.0, "F1 over the fields of the reference")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        let Config { extract, embedded, schema, compare, weights } = config;
        let schema = schema.map(Schema::new).transpose()?;
        let without_reference = weights.valid + schema.as_ref().map_or(0.0, |_| weights.schema + weights.schema_share);
        if without_reference + weights.field_f1 <= 0.0 {
            return Err(Fault::bad_config("the `weights` of all parts that apply are 0: nothing would be rewarded"));
        }
        Ok(Self { extract, embedded, schema, compare, weights })
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let expected = match &task.reference {
            Some(reference) if self.weights.field_f1 > 0.0 => match serde_json::from_str::<Value>(reference) {
                Ok(expected) => Some(expected),
                Err(_) => return Ok(Verdict::abstain("the reference is not JSON")),
            },
            _ => None,
        };
        Ok(match self.answer(completion) {
            Ok(answer) => self.judge(&answer, expected.as_ref()),
            Err(why) => self.refuse(why, expected.is_some()),
        })
    }
}

impl JsonReward {
    fn answer(&self, completion: &str) -> Result<Value, String> {
        let text = self.extract.find(completion).ok_or_else(|| self.extract.missing())?;
        parse(text, self.embedded)
    }

    fn judge(&self, answer: &Value, expected: Option<&Value>) -> Verdict {
        let mut parts = vec![("valid", 1.0, self.weights.valid)];
        let mut reason = None;
        if let Some(schema) = &self.schema {
            let report = schema.check(answer);
            let follows = f64::from(u8::from(report.violations == 0));
            parts.push(("schema", follows, self.weights.schema));
            parts.push(("schema_share", report.share(), self.weights.schema_share));
            reason = report.first;
        }
        if let Some(expected) = expected {
            parts.push(("field_f1", field_f1(answer, expected, self.compare), self.weights.field_f1));
        }
        let verdict = weighted(&parts);
        match reason {
            Some(reason) => verdict.reason(reason),
            None => verdict,
        }
    }

    // Zero in all parts that apply: what is no JSON has no field right.
    fn refuse(&self, why: String, has_reference: bool) -> Verdict {
        let mut parts = vec![("valid", 0.0, self.weights.valid)];
        if self.schema.is_some() {
            parts.extend([("schema", 0.0, self.weights.schema), ("schema_share", 0.0, self.weights.schema_share)]);
        }
        if has_reference {
            parts.push(("field_f1", 0.0, self.weights.field_f1));
        }
        weighted(&parts).reason(why)
    }
}

fn weighted(parts: &[(&str, f64, f64)]) -> Verdict {
    let total: f64 = parts.iter().map(|(_, _, weight)| weight).sum();
    // Only the fields count, and the row has none to compare with.
    if total <= 0.0 {
        return Verdict::abstain("the row has no reference, and nothing else counts");
    }
    let sum: f64 = parts.iter().map(|(_, value, weight)| value * weight).sum();
    let verdict = Verdict::scored((sum / total).clamp(0.0, 1.0));
    parts.iter().fold(verdict, |verdict, (name, value, _)| verdict.part(*name, *value))
}

export!(JsonReward);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing::{self, CaseError};

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<JsonReward>("cases").map(drop)
    }
}

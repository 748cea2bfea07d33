mod complexity;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::{Refusal, descriptor};

/// The problems named in one refusal.
const PROBLEMS_MAX: usize = 5;

/// How often a regular expression may go back.
const BACKTRACKS_MAX: usize = 10_000;
/// What a compiled regular expression may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Holds a configuration to a plugin's `config-schema`, as loading the plugin does.
///
/// # Errors
/// What is wrong with the schema, or else with the configuration.
pub fn check_config(schema: &str, config: &Value) -> Result<(), Refusal> {
    let schema = descriptor::parse_schema(schema).map_err(Refusal::Descriptor)?;
    hold(config, &schema)
}

/// As [`check_config`], with a schema that is read already.
pub(crate) fn hold(config: &Value, schema: &Value) -> Result<(), Refusal> {
    let validator = compile(schema).map_err(Refusal::Descriptor)?;
    check(&validator, config).map_err(Refusal::Config)
}

/// Compiles a plugin's schema, within the bounds of [`complexity`]. References to other documents are refused: nothing is
/// read, nothing is fetched.
fn compile(schema: &Value) -> Result<Validator, String> {
    complexity::check(schema).map_err(|problem| format!("config-schema {problem}"))?;
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKS_MAX)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX);
    let validator = jsonschema::options().with_pattern_options(patterns).build(schema);
    validator.map_err(|error| format!("config-schema is no JSON schema: {error}"))
}

/// Checks a configuration, and names what is wrong and where.
fn check(validator: &Validator, config: &Value) -> Result<(), String> {
    let mut problems: Vec<String> = validator
        .iter_errors(config)
        .take(PROBLEMS_MAX)
        .map(|error| match error.instance_path().to_string() {
            path if path.is_empty() => error.to_string(),
            path => format!("{path}: {error}"),
        })
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    Err(problems.join("; "))
}

/// JSON with the keys of every object sorted, so that equal configurations have equal bytes.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Object(object) => {
            let mut entries: Vec<(&String, &Value)> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        other => other.clone(),
    }
}

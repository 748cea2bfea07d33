use jsonschema::Validator;
use serde_json::Value;

/// The problems named in one refusal.
const PROBLEMS_MAX: usize = 5;

/// Compiles a plugin's schema. References to other documents are not followed: nothing is read, nothing is fetched.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options().build(schema).map_err(|error| format!("config-schema is no JSON schema: {error}"))
}

/// Checks a configuration, and names what is wrong and where.
pub(crate) fn check(validator: &Validator, config: &Value) -> Result<(), String> {
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

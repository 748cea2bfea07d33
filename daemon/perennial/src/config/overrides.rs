//! Keys set outside the file: by the environment, and by the command line above it.

use toml::{Table, Value};

use super::{Config, ConfigError, Sources, nearest::nearest, place::Origin};

/// The prefix of environment variables that set a key: `PERENNIAL_TRAIN__LEARNING_RATE`.
const ENVIRONMENT_PREFIX: &str = "PERENNIAL_";

/// A key set outside the file.
pub(super) struct Override {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Every key that the environment and the command line set, in the order in which they count.
///
/// # Errors
/// Where one names no key.
pub(super) fn overrides(sources: &Sources) -> Result<Vec<Override>, ConfigError> {
    let mut found = Vec::new();
    let mut environment: Vec<_> = sources.environment.iter().collect();
    environment.sort();
    for (name, value) in environment {
        let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        if !path.contains("__") {
            refuse_single_underscores(name, path)?;
            continue;
        }
        let key = path.to_ascii_lowercase().replace("__", ".");
        found.push(Override { key, value: value.clone(), origin: Origin::Environment(name.clone()) });
    }
    for set in &sources.set {
        let origin = Origin::Flag(format!("--set {set}"));
        let Some((key, value)) = set.split_once('=') else {
            let message = "expected SECTION.KEY=VALUE".to_owned();
            return Err(ConfigError::Override { origin, message, hint: String::new() });
        };
        found.push(Override { key: key.trim().to_owned(), value: value.trim().to_owned(), origin });
    }
    if let Some(state) = &sources.state {
        let (key, origin) = ("state.dir".to_owned(), Origin::Flag("--state".to_owned()));
        found.push(Override { key, value: state.to_string_lossy().into_owned(), origin });
    }
    Ok(found)
}

/// A variable that names a key but for the two underscores would set nothing, and nobody would know.
fn refuse_single_underscores(name: &str, path: &str) -> Result<(), ConfigError> {
    let keys = serde_json::to_value(Config::default()).unwrap_or_default();
    let Some(meant) = with_double_underscores(&keys, &path.to_ascii_lowercase()) else { return Ok(()) };
    Err(ConfigError::Override {
        origin: Origin::Environment(name.to_owned()),
        message: "it sets nothing: two underscores stand between a section and its key".to_owned(),
        hint: format!("; did you mean `{ENVIRONMENT_PREFIX}{}`?", meant.to_ascii_uppercase()),
    })
}

/// The key of these sections that a path is but for its underscores.
fn with_double_underscores(sections: &serde_json::Value, path: &str) -> Option<String> {
    sections.as_object()?.iter().find_map(|(key, inner)| {
        let rest = path.strip_prefix(key.as_str())?;
        match rest.strip_prefix('_') {
            None => (rest.is_empty() && !inner.is_object()).then(|| key.clone()),
            Some(rest) => Some(format!("{key}__{}", with_double_underscores(inner, rest)?)),
        }
    })
}

/// Sets one key and reads everything again, so that an error is this override's.
pub(super) fn apply(table: &Table, key: &str, text: &str, origin: &Origin) -> Result<(Config, Table), ConfigError> {
    let as_string = Value::String(text.to_owned());
    let as_toml = format!("value = {text}").parse::<Table>().ok().and_then(|mut parsed| parsed.remove("value"));
    let mut first_error = None;
    // A text that happens to look like a number is still a text where the key wants one.
    for value in as_toml.into_iter().chain([as_string]) {
        let mut table = table.clone();
        if !insert(&mut table, key, value) {
            continue;
        }
        match table.clone().try_into() {
            Ok(config) => return Ok((config, table)),
            Err(error) => first_error = first_error.or(Some(error.message().to_owned())),
        }
    }
    let message = first_error.unwrap_or_else(|| format!("`{key}` is not a key: use SECTION.KEY"));
    let hint = nearest(&message);
    Err(ConfigError::Override { origin: origin.clone(), message, hint })
}

fn insert(table: &mut Table, key: &str, value: Value) -> bool {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            true
        }
        Some((section, rest)) => {
            let section = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            section.as_table_mut().is_some_and(|section| insert(section, rest, value))
        }
    }
}

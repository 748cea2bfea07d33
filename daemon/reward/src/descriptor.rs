use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bindings::perennial::reward::types;

/// What a plugin says about itself, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The plugin's own name.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One line of explanation.
    pub help: String,
    /// The least reward that it gives.
    pub min: f64,
    /// The greatest reward that it gives.
    pub max: f64,
    /// All parts that a score may name.
    pub parts: Vec<PartSpec>,
    /// The JSON schema of its configuration.
    pub config_schema: Value,
}

/// One declared part of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartSpec {
    /// The name, a metric's label.
    pub name: String,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// One line of explanation.
    pub help: String,
}

/// The parts that a plugin may declare: each is a time series of its own.
pub const PARTS_MAX: usize = 32;
/// The length of a name in a descriptor, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The length of a help text, in bytes.
pub const HELP_BYTES_MAX: usize = 1024;
/// The size of a configuration schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;

impl Descriptor {
    /// Checks what a plugin said, and gives the first thing that is wrong as a sentence.
    pub(crate) fn check(raw: types::Descriptor) -> Result<Self, String> {
        check_name("name", &raw.name)?;
        check_version(&raw.version)?;
        check_help("help", &raw.help)?;
        check_range("the reward", raw.min, raw.max)?;
        if raw.parts.len() > PARTS_MAX {
            return Err(format!("it declares {} parts, more than {PARTS_MAX}", raw.parts.len()));
        }
        let mut parts: Vec<PartSpec> = Vec::with_capacity(raw.parts.len());
        for part in raw.parts {
            check_name("the name of a part", &part.name)?;
            if parts.iter().any(|known| known.name == part.name) {
                return Err(format!("it declares part {:?} twice", part.name));
            }
            check_help(&format!("the help of part {:?}", part.name), &part.help)?;
            check_range(&format!("part {:?}", part.name), part.min, part.max)?;
            parts.push(PartSpec { name: part.name, min: part.min, max: part.max, help: part.help });
        }
        let config_schema = parse_schema(&raw.config_schema)?;
        let types::Descriptor { name, version, help, min, max, .. } = raw;
        Ok(Self { name, version, help, min, max, parts, config_schema })
    }

    /// The declared part of this name.
    pub fn part(&self, name: &str) -> Option<&PartSpec> {
        self.parts.iter().find(|part| part.name == name)
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if fits {
        return Ok(());
    }
    Err(format!(
        "{what} is {:?}, not 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-` and `_`",
        crate::text::cut(name, NAME_BYTES_MAX)
    ))
}

fn check_version(version: &str) -> Result<(), String> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let fits = version.len() <= NAME_BYTES_MAX
        && version.bytes().all(|byte| byte.is_ascii_graphic())
        && numbers.len() == 3
        && numbers.iter().all(|number| number.parse::<u64>().is_ok());
    if fits {
        return Ok(());
    }
    Err(format!("its version is {:?}, not MAJOR.MINOR.PATCH", crate::text::cut(version, NAME_BYTES_MAX)))
}

fn check_help(what: &str, help: &str) -> Result<(), String> {
    if help.len() <= HELP_BYTES_MAX {
        return Ok(());
    }
    Err(format!("{what} has {} bytes, more than {HELP_BYTES_MAX}", help.len()))
}

fn check_range(what: &str, min: f64, max: f64) -> Result<(), String> {
    if min.is_finite() && max.is_finite() && min < max {
        return Ok(());
    }
    Err(format!("the range of {what} is {min} to {max}: both must be finite, and min less than max"))
}

pub(crate) fn parse_schema(text: &str) -> Result<Value, String> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!("config-schema has {} bytes, more than {SCHEMA_BYTES_MAX}", text.len()));
    }
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("config-schema is not JSON: {error}"))?;
    if schema.is_object() || schema.is_boolean() {
        return Ok(schema);
    }
    Err("config-schema is JSON, but no schema: it must be an object".to_owned())
}

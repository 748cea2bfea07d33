use std::path::Path;

use serde_json::{Map, Value};

use super::ModelError;
use crate::metadata::KeyError;

/// The keys of a `config.json`, read by type.
pub(super) struct Keys<'a> {
    pub(super) raw: &'a Map<String, Value>,
    /// Where it lies, for errors.
    pub(super) path: &'a Path,
}

impl<'a> Keys<'a> {
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, ModelError> {
        let Some(value) = self.raw.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.problem(key, "must be a text"))
    }

    pub(super) fn needed(&self, key: &str) -> Result<usize, ModelError> {
        self.number_or(key, None)?.ok_or_else(|| self.problem(key, "is missing"))
    }

    /// A number; `absent` where the key is not there, and none where it is null.
    pub(super) fn number_or(&self, key: &str, absent: Option<usize>) -> Result<Option<usize>, ModelError> {
        match self.raw.get(key) {
            None => Ok(absent),
            Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                number.map(Some).ok_or_else(|| self.problem(key, "must be a whole number that is not negative"))
            }
        }
    }

    pub(super) fn real(&self, key: &str) -> Result<f64, ModelError> {
        let value = self.raw.get(key).ok_or_else(|| self.problem(key, "is missing"))?;
        value.as_f64().ok_or_else(|| self.problem(key, "must be a number"))
    }

    pub(super) fn flag(&self, key: &str, absent: bool) -> Result<bool, ModelError> {
        let Some(value) = self.raw.get(key) else { return Ok(absent) };
        value.as_bool().ok_or_else(|| self.problem(key, "must be true or false"))
    }

    pub(super) fn problem(&self, key: &str, problem: &str) -> ModelError {
        ModelError::config(self.path, KeyError::new(key, problem.to_owned()))
    }

    pub(super) fn unsupported(&self, what: String, supported: &'static str) -> ModelError {
        ModelError::Unsupported { path: self.path.to_owned(), what, supported }
    }
}

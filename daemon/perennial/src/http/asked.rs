//! What a request says, in its path and in its body.

use std::{fmt::Display, str::FromStr};

use serde::Deserialize;

use super::ApiError;

/// Reads a name out of a path.
pub(super) fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::bad_request(error.to_string()))
}

/// A body of JSON, which may be empty.
pub(super) fn read<T: Default + for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}

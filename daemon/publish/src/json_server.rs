//! A server that is asked and answers in JSON, and may want a key.

use std::{path::Path, time::Duration};

use perennial_types::shortened;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::{
    PublishError,
    http::{self, Request},
    secret::read_closed,
};

/// How much of an answer that is not understood is told, in characters.
const BEGIN_CHARS_MAX: usize = 80;

/// Where it is, and how it is asked.
pub(crate) struct JsonServer<'a> {
    pub(crate) runtime: &'a Handle,
    /// Whose interface it has, by its name.
    pub(crate) kind: &'static str,
    pub(crate) url: Url,
    pub(crate) key: Option<String>,
    pub(crate) timeout: Duration,
    /// The longest answer, in bytes.
    pub(crate) answer_bytes_max: usize,
}

/// The address of a server, and its key, read anew, so that a new one counts at once.
///
/// # Errors
/// Where the address is none, or the key cannot be read.
pub(crate) fn address(url: &str, key_file: Option<&Path>) -> Result<(Url, Option<String>), PublishError> {
    let url = url.parse().map_err(|_| PublishError::NoAddress)?;
    let secret =
        |path: &Path| read_closed(path).map_err(|problem| PublishError::Secret { path: path.to_owned(), problem });
    Ok((url, key_file.map(secret).transpose()?))
}

impl JsonServer<'_> {
    pub(crate) fn place(&self) -> String {
        http::place(&self.url)
    }

    /// That it does not do as its kind does.
    pub(crate) fn unlike(&self, problem: impl Into<String>) -> PublishError {
        PublishError::Unlike { place: self.place(), problem: problem.into() }
    }

    /// Asks, and reads the answer; a body of `null` is none.
    pub(crate) fn json<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, PublishError> {
        let answer = self.call(method, path, body)?;
        serde_json::from_slice(&answer).map_err(|error| {
            let begin = shortened(&String::from_utf8_lossy(&answer), BEGIN_CHARS_MAX);
            self.unlike(format!("answers /{path} otherwise than {} does: {error}: {begin:?}", self.kind))
        })
    }

    /// Asks, and takes the answer as it is; a body of `null` is none.
    pub(crate) fn call(&self, method: Method, path: &str, body: &Value) -> Result<Vec<u8>, PublishError> {
        let base = self.url.as_str().trim_end_matches('/');
        let url: Url = format!("{base}/{path}").parse().map_err(|_| PublishError::NoAddress)?;
        let mut headers = Vec::new();
        headers.extend(self.key.as_ref().map(|key| ("authorization", format!("Bearer {key}"))));
        let body = match body {
            Value::Null => Vec::new(),
            body => {
                headers.push(("content-type", "application/json".to_owned()));
                body.to_string().into_bytes()
            }
        };
        let (timeout, answer_bytes_max) = (self.timeout, self.answer_bytes_max);
        http::send(self.runtime, Request { method, url: &url, headers, body, timeout, answer_bytes_max })
    }
}

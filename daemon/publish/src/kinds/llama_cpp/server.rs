//! llama-server's interface to adapters, as far as it is needed.

use std::{path::Path, time::Duration};

use perennial_types::shortened;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    PublishError,
    http::{self, Request},
    probe::Tokens,
    secret::read_closed,
};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How many of the likeliest tokens are compared.
const TOKENS: usize = 5;

/// A server that can be asked.
pub(super) struct Server<'a> {
    runtime: &'a Handle,
    url: Url,
    key: Option<String>,
    timeout: Duration,
}

/// An adapter that the server has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    /// What it is asked for by.
    pub(super) id: u64,
    /// As the server was told at its start.
    pub(super) path: String,
    /// What it is weighed with where a request does not say.
    pub(super) scale: f64,
}

impl Listed {
    pub(super) fn file_name(&self) -> Option<&str> {
        Path::new(&self.path).file_name()?.to_str()
    }

    pub(super) fn is_file(&self, name: &str) -> bool {
        self.file_name() == Some(name)
    }
}

impl<'a> Server<'a> {
    /// Reads the key anew, so that a new one counts at once.
    pub(super) fn open(
        runtime: &'a Handle,
        url: &str,
        key_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, PublishError> {
        let url = url.parse().map_err(|_| PublishError::NoAddress)?;
        let secret =
            |path: &Path| read_closed(path).map_err(|problem| PublishError::Secret { path: path.to_owned(), problem });
        Ok(Self { runtime, url, key: key_file.map(secret).transpose()?, timeout })
    }

    pub(super) fn place(&self) -> String {
        http::place(&self.url)
    }

    /// That it does not do as llama.cpp does.
    pub(super) fn unlike(&self, problem: impl Into<String>) -> PublishError {
        PublishError::Unlike { place: self.place(), problem: problem.into() }
    }

    /// Whether it answers, with its model in memory.
    pub(super) fn is_ready(&self) -> bool {
        self.call(Method::GET, "health", &Value::Null).is_ok()
    }

    pub(super) fn adapters(&self) -> Result<Vec<Listed>, PublishError> {
        match self.call(Method::GET, "lora-adapters", &Value::Null) {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
                Err(self.unlike("knows no /lora-adapters: is it llama-server?"))
            }
            answered => self.parsed("lora-adapters", &answered?),
        }
    }

    /// Lets one adapter count whole, or none, and the others not at all.
    pub(super) fn weigh(&self, all: &[Listed], only: Option<u64>) -> Result<(), PublishError> {
        if all.is_empty() {
            return Ok(());
        }
        self.call(Method::POST, "lora-adapters", &weights(all, only)).map(drop)
    }

    /// The likeliest tokens that it would go on with, with their log-probabilities, each adapter but one weighing nothing.
    pub(super) fn next_tokens(&self, prompt: &str, all: &[Listed], only: Option<u64>) -> Result<Tokens, PublishError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            completion_probabilities: Vec<Place>,
        }
        #[derive(Deserialize)]
        struct Place {
            #[serde(default)]
            top_logprobs: Vec<Token>,
        }
        #[derive(Deserialize)]
        struct Token {
            id: i64,
            logprob: f64,
        }
        let body = json!({
            "prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": TOKENS, "cache_prompt": false,
            "lora": weights(all, only),
        });
        let answer: Answer = self.parsed("completion", &self.call(Method::POST, "completion", &body)?)?;
        let first = answer.completion_probabilities.into_iter().next().map(|place| place.top_logprobs);
        let tokens = first.filter(|tokens| !tokens.is_empty());
        let tokens = tokens.ok_or_else(|| self.unlike("tells no log-probabilities of what it answers"))?;
        Ok(tokens.into_iter().map(|token| (token.id.to_string(), token.logprob)).collect())
    }

    fn parsed<T: for<'de> Deserialize<'de>>(&self, path: &str, answer: &[u8]) -> Result<T, PublishError> {
        serde_json::from_slice(answer).map_err(|error| {
            let begin = shortened(&String::from_utf8_lossy(answer), 80);
            self.unlike(format!("answers /{path} otherwise than llama-server does: {error}: {begin:?}"))
        })
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Result<Vec<u8>, PublishError> {
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
        let (timeout, answer_bytes_max) = (self.timeout, ANSWER_BYTES_MAX);
        http::send(self.runtime, Request { method, url: &url, headers, body, timeout, answer_bytes_max })
    }
}

/// The weights of all adapters: whatever is not named keeps its own in some versions, and has none in others.
fn weights(all: &[Listed], only: Option<u64>) -> Value {
    let weight = |listed: &Listed| if Some(listed.id) == only { 1.0 } else { 0.0 };
    all.iter().map(|listed| json!({ "id": listed.id, "scale": weight(listed) })).collect()
}

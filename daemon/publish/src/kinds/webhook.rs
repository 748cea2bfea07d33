//! `kind = "webhook"`: each change of the champion is posted to an address as JSON, signed in the form of Standard Webhooks 1.0.
//!
//! The key is the secret's bytes, the signed content `ID.TIMESTAMP.BODY`, and the signature HMAC-SHA256 in base64 behind `v1,`.
//! The id is the same at each try of a change, so that a receiver can take each once; the timestamp is that of the try.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use perennial_types::Fingerprint;
use reqwest::{Method, Url};
use ring::hmac;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::{
    Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    event::{body, event_id},
    http::{self, Request},
    remote::{self, attempts_max, pause_seconds, timeout_seconds},
    secret::read_closed,
};

/// What stands before the base64 of a secret.
const SECRET_PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes: as Standard Webhooks has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The keys of a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// What it is called.
    #[serde(default = "name")]
    pub name: String,
    /// Where it is posted to.
    pub url: String,
    /// The file with the secret; the credential `publish-NAME` where it is unset.
    pub secret_file: Option<PathBuf>,
    /// How long a try may take.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// How often a change is tried.
    #[serde(default = "attempts_max")]
    pub attempts_max: u32,
    /// The first pause between two tries.
    #[serde(default = "pause_seconds")]
    pub pause_seconds: u64,
}

fn name() -> String {
    "webhook".to_owned()
}

impl Settings for WebhookConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        let mut add = |key, problem: &str| found.push(Fault { key, problem: problem.to_owned() });
        if let Some(problem) = remote::address_fault(&self.url) {
            add("url", problem);
        }
        if self.secret_file.is_none() {
            add(
                "secret_file",
                "is missing, and systemd hands over no credential publish-NAME: name the file with the secret",
            );
        }
        found.extend(remote::faults(self.timeout_seconds, self.attempts_max, self.pause_seconds));
        found
    }

    fn paths(&mut self) -> Vec<PathKey<'_>> {
        vec![PathKey { key: "secret_file", path: &mut self.secret_file, is_secret: true }]
    }

    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher> {
        Box::new(Webhook { config: self.clone(), runtime: surroundings.runtime.clone() })
    }
}

struct Webhook {
    config: WebhookConfig,
    runtime: Handle,
}

impl Webhook {
    fn url(&self) -> Result<Url, PublishError> {
        self.config.url.parse().map_err(|_| PublishError::NoAddress)
    }

    /// Read at each try, so that a new secret counts at once.
    fn secret(&self) -> Result<hmac::Key, PublishError> {
        let path = self.config.secret_file.clone().unwrap_or_default();
        read_secret(&path).map_err(|problem| PublishError::Secret { path, problem })
    }
}

impl Publisher for Webhook {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn place(&self) -> Fingerprint {
        Fingerprint::of(self.config.url.as_bytes())
    }

    fn reach(&self) -> Reach {
        Reach::Remote
    }

    fn tries(&self) -> Tries {
        remote::tries(self.config.attempts_max, self.config.pause_seconds)
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        let (id, key) = (event_id(&self.config.name, wish), self.secret()?);
        let body = body(&id, wish);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signature = sign(&key, &id, &seconds, &body);
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", seconds),
            ("webhook-signature", signature),
        ];
        let timeout = Duration::from_secs(self.config.timeout_seconds);
        let url = &self.url()?;
        let request = Request { method: Method::POST, url, headers, body, timeout, answer_bytes_max: 0 };
        http::send(&self.runtime, request).map(drop)
    }

    fn observe(&self, _: &Wish) -> Result<Observed, PublishError> {
        Ok(Observed::Untold)
    }

    fn check(&self) -> Result<String, PublishError> {
        self.secret()?;
        Ok(http::place(&self.url()?))
    }
}

/// The header `webhook-signature`.
fn sign(key: &hmac::Key, id: &str, seconds: &str, body: &[u8]) -> String {
    let mut signing = hmac::Context::with_key(key);
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].iter().for_each(|part| signing.update(part));
    format!("v1,{}", STANDARD.encode(signing.sign()))
}

/// The key in a file: `whsec_` and base64. What the file holds is never told.
fn read_secret(path: &Path) -> Result<hmac::Key, String> {
    let text = read_closed(path)?;
    let key = text.strip_prefix(SECRET_PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
    match key.filter(|key| SECRET_BYTES.contains(&key.len())) {
        Some(key) => Ok(hmac::Key::new(hmac::HMAC_SHA256, &key)),
        None => Err(format!(
            "is no secret of a webhook: write `{SECRET_PREFIX}` and the base64 of 24 to 64 bytes, as \
             `echo {SECRET_PREFIX}$(openssl rand -base64 32)` does"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// Of HMAC-SHA256 as Python's hmac computes it.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of twenty-four byte");
        let signature = sign(&key, "msg_1", "1674087231", br#"{"type":"champion.changed"}"#);
        assert_eq!(signature, "v1,UZJks0+uKy88bJHh45xoDSW+0riE2Q4WTBb64bIS4As=");
    }

    #[test]
    fn a_secret_is_closed_and_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_secret(&path).map(drop)
        };
        let good = format!("whsec_{}\n", STANDARD.encode([7; 32]));
        assert_eq!(read(&good, 0o640), Ok(()));
        assert!(read(&good, 0o644).unwrap_err().contains("chmod"));
        for bad in ["", "hunter2", "whsec_!!", "whsec_c2hvcnQ=", &good["whsec_".len()..]] {
            let said = read(bad, 0o600).unwrap_err();
            assert!(said.contains("openssl") && (bad.is_empty() || !said.contains(bad)), "{said}");
        }
        assert!(read_secret(&folder.path().join("none")).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        let config = WebhookConfig {
            name: name(),
            url: "ftp://example.org".to_owned(),
            secret_file: None,
            timeout_seconds: 0,
            attempts_max: 0,
            pause_seconds: 0,
        };
        let keys: Vec<&str> = config.faults().iter().map(|fault| fault.key).collect();
        assert_eq!(keys, ["url", "secret_file", "timeout_seconds", "attempts_max", "pause_seconds"]);
        let config = WebhookConfig { url: "https://".to_owned(), ..config };
        assert_eq!(config.faults()[0].key, "url");
    }
}

//! `kind = "webhook"`: each change of the champion is posted to an address as JSON, signed in the form of Standard Webhooks 1.0.
//!
//! The key is the secret's bytes, the signed content `ID.TIMESTAMP.BODY`, and the signature HMAC-SHA256 in base64 behind `v1,`.
//! The id is the same at each try of a change, so that a receiver can take each once; the timestamp is that of the try.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat};
use perennial_types::{AdapterId, Fingerprint, Fingerprinter};
use reqwest::Url;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Handle;

use crate::{
    Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    http::{self, Post},
};

/// What stands before the base64 of a secret.
const SECRET_PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes: as Standard Webhooks has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The largest file of a secret, in bytes.
const FILE_BYTES_MAX: u64 = 4096;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(900);

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

fn timeout_seconds() -> u64 {
    10
}

fn attempts_max() -> u32 {
    20
}

fn pause_seconds() -> u64 {
    5
}

impl Settings for WebhookConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        let mut add = |key, problem: &str| found.push(Fault { key, problem: problem.to_owned() });
        if !self.url.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            add("url", "must be an address that begins with http:// or https://");
        }
        if self.secret_file.is_none() {
            add(
                "secret_file",
                "is missing, and systemd hands over no credential publish-NAME: name the file with the secret",
            );
        }
        if !(1..=300).contains(&self.timeout_seconds) {
            add("timeout_seconds", "must be from 1 to 300");
        }
        if !(1..=1000).contains(&self.attempts_max) {
            add("attempts_max", "must be from 1 to 1000");
        }
        if !(1..=PAUSE_MAX.as_secs()).contains(&self.pause_seconds) {
            add("pause_seconds", "must be from 1 to 900");
        }
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
        let WebhookConfig { pause_seconds, attempts_max, .. } = self.config;
        let pause_first = Duration::from_secs(pause_seconds);
        Tries { pause_first, pause_max: PAUSE_MAX, attempts_max: Some(attempts_max) }
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
        http::post(&self.runtime, Post { url: &self.url()?, headers, body, timeout })
    }

    fn observe(&self) -> Result<Observed, PublishError> {
        Ok(Observed::Untold)
    }

    fn check(&self) -> Result<String, PublishError> {
        self.secret()?;
        Ok(http::place(&self.url()?))
    }
}

/// Names a change at a target: the same at each try, and unlike those of any other state directory.
fn event_id(target: &str, wish: &Wish) -> String {
    let name = |adapter: Option<&AdapterId>| adapter.map_or_else(String::new, AdapterId::to_string);
    let id = Fingerprinter::new()
        .part(target.as_bytes())
        .part(&wish.change.to_le_bytes())
        .part(&wish.at_ms.to_le_bytes())
        .part(name(wish.adapter()).as_bytes())
        .part(name(wish.previous.as_ref()).as_bytes())
        .finish();
    format!("msg_{}", id.short(32))
}

fn body(id: &str, wish: &Wish) -> Vec<u8> {
    let champion = wish.champion.as_ref();
    let at = DateTime::from_timestamp_millis(wish.at_ms).unwrap_or_default();
    let event = json!({
        "id": id,
        "type": "champion.changed",
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": {
            "champion": wish.adapter(),
            "path": champion.map(|champion| champion.folder.display().to_string()),
            "fingerprint": champion.map(|champion| champion.files),
            "cycle": champion.map(|champion| champion.cycle),
            "previous": wish.previous,
            "reason": wish.reason,
            "change": wish.change,
        },
    });
    event.to_string().into_bytes()
}

/// The header `webhook-signature`.
fn sign(key: &hmac::Key, id: &str, seconds: &str, body: &[u8]) -> String {
    let mut signing = hmac::Context::with_key(key);
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].iter().for_each(|part| signing.update(part));
    format!("v1,{}", STANDARD.encode(signing.sign()))
}

/// The key in a file: `whsec_` and base64. What the file holds is never told.
fn read_secret(path: &Path) -> Result<hmac::Key, String> {
    let file = File::open(path).map_err(|error| format!("the secret cannot be opened: {error}"))?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.mode() & 0o007 != 0 {
        return Err("the secret can be used by everybody: `chmod o-rwx` it".to_owned());
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("the secret cannot be read: {error}"))?;
    let key = text.trim().strip_prefix(SECRET_PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
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
    use crate::testing::wish;

    /// Of HMAC-SHA256 as Python's hmac computes it.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of twenty-four byte");
        let signature = sign(&key, "msg_1", "1674087231", br#"{"type":"champion.changed"}"#);
        assert_eq!(signature, "v1,UZJks0+uKy88bJHh45xoDSW+0riE2Q4WTBb64bIS4As=");
    }

    #[test]
    fn an_id_is_that_of_the_change_and_the_body_the_same_at_each_try() {
        let (one, base) = (wish(1, Some("one")), wish(2, None));
        let id = event_id("hook", &one);
        assert_eq!(id, event_id("hook", &one.clone()));
        assert_eq!(body(&id, &one), body(&id, &one));
        let others =
            [event_id("other", &one), event_id("hook", &base), event_id("hook", &Wish { at_ms: 1, ..one.clone() })];
        assert!(others.iter().all(|other| *other != id), "{others:?}");
        insta::assert_snapshot!(
            String::from_utf8(body("msg_1", &one)).unwrap() + "\n" + &String::from_utf8(body("msg_2", &base)).unwrap()
        );
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

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reqwest::{Client, header::RETRY_AFTER};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tracing::warn;

use crate::{ports::Stop, rollout_error::RolloutServerError};

/// How often a request is made, the first time included, before the server's trouble ends the run.
const ATTEMPTS_MAX: u32 = 5;
/// How long it is waited before the second attempt; twice as long before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// How often it is looked whether the work is to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How much of a server's complaint is passed on, in characters …
const COMPLAINT_CHARS_MAX: usize = 500;
/// … and read, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;

/// Asks a server from threads that may wait, and gives up where the work is to stop.
pub(super) struct Http {
    client: Client,
    runtime: Runtime,
    url: String,
    timeout: Duration,
}

/// One request.
pub(super) struct Post<'a> {
    pub(super) path: &'a str,
    pub(super) body: &'a Value,
    /// The longest answer.
    pub(super) bytes_max: u64,
}

/// A failed attempt, with how long the server asked to be left alone.
struct Failed {
    error: RolloutServerError,
    retry_after: Option<Duration>,
}

impl From<RolloutServerError> for Failed {
    fn from(error: RolloutServerError) -> Self {
        Self { error, retry_after: None }
    }
}

impl Http {
    /// A client of the server at this address, for requests of which none may take longer than `timeout`.
    ///
    /// # Errors
    /// Where the client cannot be made.
    pub(super) fn new(url: &str, timeout: Duration) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().build()?;
        // Its one thread waits for the network; whoever asks runs the request.
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("rollout-server").enable_all().build();
        let runtime = runtime.context("no thread to ask the rollout server with")?;
        Ok(Self { client, runtime, url: url.trim_end_matches('/').to_owned(), timeout })
    }

    /// What the server answers; what is transient is tried again, [`ATTEMPTS_MAX`] times in all. `None` where the work is to
    /// stop.
    ///
    /// # Errors
    /// Where it refuses, or is in trouble for too long.
    pub(super) fn post(&self, post: &Post<'_>, stop: &Stop) -> Result<Option<Vec<u8>>, RolloutServerError> {
        let mut pause = PAUSE_FIRST;
        for attempt in 1.. {
            let failed = match self.attempt(post, self.timeout, stop) {
                None => return Ok(None),
                Some(Ok(answer)) => return Ok(Some(answer)),
                Some(Err(failed)) => failed,
            };
            if attempt >= ATTEMPTS_MAX || !failed.error.is_transient() {
                return Err(failed.error);
            }
            let wait = failed.retry_after.unwrap_or(pause).min(PAUSE_MAX);
            warn!(attempt, wait_seconds = wait.as_secs_f64(), error = %failed.error, "the rollout server is asked again");
            if !rested(wait, stop) {
                break;
            }
            pause *= 2;
        }
        Ok(None)
    }

    /// Asks once, for no longer than `timeout`, whether the work is to stop or not.
    ///
    /// # Errors
    /// Where it is not answered with success.
    pub(super) fn post_once(&self, post: &Post<'_>, timeout: Duration) -> Result<Vec<u8>, RolloutServerError> {
        self.runtime.block_on(self.answer(post, timeout)).map_err(|failed| failed.error)
    }

    fn attempt(&self, post: &Post<'_>, timeout: Duration, stop: &Stop) -> Option<Result<Vec<u8>, Failed>> {
        self.runtime.block_on(async {
            tokio::select! {
                answer = self.answer(post, timeout) => Some(answer),
                () = stopped(stop) => None,
            }
        })
    }

    async fn answer(&self, post: &Post<'_>, timeout: Duration) -> Result<Vec<u8>, Failed> {
        let url = format!("{}{}", self.url, post.path);
        let no_answer = |source| RolloutServerError::NoAnswer { url: url.clone(), source };
        let sent = self.client.post(&url).timeout(timeout).json(post.body).send().await;
        let mut answer = sent.map_err(no_answer)?;
        let status = answer.status();
        let retry_after: Option<u64> =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let bytes_max = if status.is_success() { post.bytes_max } else { COMPLAINT_BYTES_MAX };
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(no_answer)? {
            if (bytes.len() + piece.len()) as u64 > bytes_max {
                if status.is_success() {
                    return Err(RolloutServerError::TooLong { url, bytes_max }.into());
                }
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let text = String::from_utf8_lossy(&bytes).chars().take(COMPLAINT_CHARS_MAX).collect();
        let retry_after = retry_after.map(Duration::from_secs);
        Err(Failed { error: RolloutServerError::Refused { url, status, text }, retry_after })
    }

    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

async fn stopped(stop: &Stop) {
    while !stop.is_set() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Waits; `false` where the work is to stop.
fn rested(wait: Duration, stop: &Stop) -> bool {
    let started = Instant::now();
    while started.elapsed() < wait {
        if stop.is_set() {
            return false;
        }
        thread::sleep(LOOK_INTERVAL.min(wait));
    }
    !stop.is_set()
}

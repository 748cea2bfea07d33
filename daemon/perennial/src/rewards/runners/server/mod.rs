//! Completions drawn by a server with vLLM's interface: the adapter under training is loaded there under a name of its own,
//! asked, and unloaded. (llama.cpp's server takes adapters at its start alone, so it cannot serve one under training.)

mod answer;
mod http;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use perennial_types::{AdapterId, Fingerprint};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tracing::warn;

use self::{
    answer::Wanted,
    http::{Http, Post},
};
use super::{Drawn, OnGroup, Request, Runner};
use crate::{
    config::{Rollout, RolloutServer},
    ports::Stop,
    rollout_error::RolloutServerError,
};

/// The server, and where adapters are laid for it.
struct Server {
    http: Http,
    adapters: PathBuf,
}

/// What each name of an adapter under training begins with, on the server and in the folder.
const NAME_PREFIX: &str = "perennial-";
/// Requests under way at the same time; a server batches them.
const REQUESTS_MAX: usize = 16;
/// How often an adapter is loaded for one generation: a server that is restarted meanwhile has forgotten it.
const LOADS_MAX: usize = 3;
/// How long unloading may take. It comes last and is only tidying up, also when the work is to stop.
const UNLOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer to loading and unloading, in bytes.
const PLAIN_BYTES_MAX: u64 = 1 << 20;

const LOAD: &str = "/v1/load_lora_adapter";
const UNLOAD: &str = "/v1/unload_lora_adapter";
const COMPLETIONS: &str = "/v1/completions";

/// The groups that have come, by prompt.
type Groups = Mutex<Vec<Option<Vec<Drawn>>>>;

/// The server of `[rollout.server]`, where there is one.
pub(super) fn open(rollout: &Rollout, folder: &Path) -> anyhow::Result<Option<Box<dyn Runner>>> {
    let Some(config) = &rollout.server else { return Ok(None) };
    Ok(Some(Box::new(Server::new(config, folder)?)))
}

impl Runner for Server {
    /// # Errors
    /// A [`RolloutServerError`] where the server cannot be reached for long, refuses the adapter, or does not answer as
    /// asked.
    fn draw(&self, request: &Request<'_>, on_group: &OnGroup<'_>) -> anyhow::Result<Option<Vec<Vec<Drawn>>>> {
        let name = format!("{NAME_PREFIX}{}", AdapterId::of(&request.adapter.fingerprint()?));
        request.adapter.save_peft(&self.adapters.join(&name), request.base_name)?;
        let drawn = self.draw_under(&name, request, on_group);
        // Whatever came of it, the next generation brings another adapter.
        self.unload(&name)?;
        drawn
    }
}

impl Server {
    /// A client of the configured server; adapters go to `folder` where the configuration names none. What a killed run left
    /// there is removed, and unloaded.
    ///
    /// # Errors
    /// Where the client cannot be made, or the folder not be tidied.
    fn new(config: &RolloutServer, folder: &Path) -> anyhow::Result<Self> {
        let http = Http::new(&config.url, Duration::from_secs(config.timeout_seconds))?;
        let adapters = config.adapter_dir.clone().unwrap_or_else(|| folder.to_owned());
        let server = Self { http, adapters };
        for name in left_behind(&server.adapters)? {
            server.unload(&name)?;
        }
        Ok(server)
    }

    fn draw_under(
        &self,
        name: &str,
        request: &Request<'_>,
        on_group: &OnGroup<'_>,
    ) -> anyhow::Result<Option<Vec<Vec<Drawn>>>> {
        let groups: Groups = Mutex::new((0..request.prompts.len()).map(|_| None).collect());
        for load in 1.. {
            if !self.load(name, request.stop)? {
                return Ok(None);
            }
            match self.ask_missing(request, name, &groups, on_group) {
                Err(error) if load < LOADS_MAX && error.is_status(StatusCode::NOT_FOUND) => {
                    warn!(%error, "the rollout server has lost the adapter; it is loaded again");
                }
                asked => {
                    asked?;
                    break;
                }
            }
        }
        let groups = groups.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(groups.into_iter().collect())
    }

    /// Loads an adapter; `false` where the work is to stop.
    fn load(&self, name: &str, stop: &Stop) -> anyhow::Result<bool> {
        let body = json!({ "lora_name": name, "lora_path": self.adapters.join(name) });
        let post = Post { path: LOAD, body: &body, bytes_max: PLAIN_BYTES_MAX };
        let loaded = match self.http.post(&post, stop) {
            // A name that is loaded already is refused so. It stands for the same bytes, but the server may have been told
            // another path for them, by a run that was killed.
            Err(refused) if refused.is_status(StatusCode::BAD_REQUEST) => {
                self.unload_quickly(name).map_or(Err(refused), |()| self.http.post(&post, stop))
            }
            answered => answered,
        };
        let loaded =
            loaded.context("the rollout server does not load the adapter: see [rollout] in config/perennial.toml")?;
        Ok(loaded.is_some())
    }

    /// Unloads an adapter and removes its folder.
    fn unload(&self, name: &str) -> anyhow::Result<()> {
        if let Err(error) = self.unload_quickly(name) {
            // A server that was restarted meanwhile does not know the name, and that is what is wanted.
            if !error.is_status(StatusCode::NOT_FOUND) {
                warn!(adapter = name, %error, "the rollout server keeps an adapter that nobody needs any more");
            }
        }
        let folder = self.adapters.join(name);
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
    }

    fn unload_quickly(&self, name: &str) -> Result<(), RolloutServerError> {
        let body = json!({ "lora_name": name });
        let post = Post { path: UNLOAD, body: &body, bytes_max: PLAIN_BYTES_MAX };
        self.http.post_once(&post, UNLOAD_TIMEOUT).map(|_| ())
    }

    /// Asks for the groups that have not come yet. Some are still missing afterwards where the work is to stop.
    fn ask_missing(
        &self,
        request: &Request<'_>,
        name: &str,
        groups: &Groups,
        on_group: &OnGroup<'_>,
    ) -> Result<(), RolloutServerError> {
        let lock = || groups.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<usize> =
            lock().iter().enumerate().filter(|(_, group)| group.is_none()).map(|(at, _)| at).collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<(), RolloutServerError> {
            while !failed.load(Ordering::Relaxed) {
                let Some(&at) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let group = self.ask(request, name, at).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                let Some(group) = group else { break };
                on_group(at, &group);
                lock()[at] = Some(group);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..missing.len().min(REQUESTS_MAX)).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    fn ask(&self, request: &Request<'_>, model: &str, at: usize) -> Result<Option<Vec<Drawn>>, RolloutServerError> {
        let config = request.config;
        let wanted = Wanted {
            completions: config.num_generations,
            tokens_max: config.max_completion_length,
            vocab_size: request.learner.config.vocab_size,
        };
        let body = body(request, model, at);
        let post = Post { path: COMPLETIONS, body: &body, bytes_max: wanted.bytes_max() };
        let Some(answer) = self.http.post(&post, request.stop)? else { return Ok(None) };
        let group = wanted.read(&answer);
        group.map(Some).map_err(|problem| RolloutServerError::Form { url: self.http.address(COMPLETIONS), problem })
    }
}

fn body(request: &Request<'_>, model: &str, at: usize) -> Value {
    let Request { config, rollout, .. } = request;
    let mut body = json!({
        "model": model,
        "prompt": request.prompts[at],
        "n": config.num_generations,
        "max_tokens": config.max_completion_length,
        "temperature": config.temperature,
        "top_p": rollout.top_p,
        "min_p": rollout.min_p,
        "seed": seed_of(request.seed, at, config.num_generations),
        "logprobs": 0,
        "return_token_ids": true,
        // The server may know of fewer: what closes a turn in the chat template need not be in its files.
        "stop_token_ids": request.learner.tokenizer.end_tokens(),
    });
    if rollout.top_k > 0 {
        body["top_k"] = json!(rollout.top_k);
    }
    if !rollout.stop.is_empty() {
        body["stop"] = json!(rollout.stop);
    }
    body
}

/// The seed of a prompt's first completion. vLLM draws the others of the request from the seeds that follow it, so the
/// prompts of a generation stand that far apart, and generations begin far from each other. Below 2^63, for vLLM's seeds
/// have a sign.
fn seed_of(generation: u64, at: usize, num_generations: usize) -> u64 {
    let hash = Fingerprint::of(&generation.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    (u64::from_le_bytes(first) >> 2) + (at * num_generations) as u64
}

/// The adapters that a run which was killed left in the folder.
fn left_behind(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| folder.display().to_string()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| folder.display().to_string())?.file_name();
        let name = name.to_string_lossy();
        if name.strip_prefix(NAME_PREFIX).is_some_and(|id| id.parse::<AdapterId>().is_ok()) {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_completions_share_a_seed() {
        let mut seeds = BTreeSet::new();
        for (generation, at, of) in
            (0..50_u64).flat_map(|g| (0..8).flat_map(move |at| (0..4_u64).map(move |of| (g, at, of))))
        {
            // As vLLM does with `n`.
            let seed = seed_of(generation, at, 4) + of;
            assert!(i64::try_from(seed).is_ok());
            assert!(seeds.insert(seed), "generation {generation}, prompt {at}, completion {of}");
        }
        assert_eq!(seed_of(7, 3, 4), seed_of(7, 3, 4));
    }

    #[test]
    fn only_what_a_run_left_is_tidied_away() {
        let folder = tempfile::tempdir().unwrap();
        assert!(left_behind(&folder.path().join("none")).unwrap().is_empty());
        let name = format!("{NAME_PREFIX}{}", AdapterId::of(&Fingerprint::of(b"a")));
        for entry in [name.as_str(), "perennial-notes", "somebody"] {
            fs::create_dir(folder.path().join(entry)).unwrap();
        }
        assert_eq!(left_behind(folder.path()).unwrap(), [name]);
    }
}

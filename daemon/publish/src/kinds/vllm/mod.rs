//! `kind = "vllm"`: a server with vLLM's interface, which loads the champion beside its base model while it serves.
//!
//! Each adapter is loaded under a name of its own, PREFIX-ID: what is loaded anew under a name that was known before is answered from
//! the server's cache of the earlier one (vllm#42125). Then it is asked, and must answer otherwise than the base model does: an adapter
//! that is listed and not applied has been seen (vllm#10798). Only then the earlier ones go, but for the one before, whose answers may be
//! under way; after a rollback that one goes too. What the server has is read from it at each look, so one that was restarted is filled
//! again.

mod probe;
mod server;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use perennial_types::{AdapterId, Fingerprint, Fingerprinter};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use self::{
    probe::probe,
    server::{Loaded, Server},
};
use crate::{
    Champion, Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    remote::{self, pause_seconds},
};

/// Why a change was made that took back the one before.
const ROLLBACK: &str = "rollback";

/// The keys of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VllmConfig {
    /// What it is called.
    #[serde(default = "name")]
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// What the names of adapters begin with on the server. Only names that do are ever unloaded.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// A name besides, that is always the champion's.
    pub alias: Option<String>,
    /// The adapters' folder as the server sees it; as this machine does where it is unset.
    pub adapters_path: Option<PathBuf>,
    /// The file with the server's key (`--api-key`); none where it is unset.
    pub key_file: Option<PathBuf>,
    /// How long an answer is waited for.
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
    "vllm".to_owned()
}

fn prefix() -> String {
    "perennial".to_owned()
}

/// Longer than a large adapter takes to load.
fn timeout_seconds() -> u64 {
    60
}

/// Ten days of a server that is away.
fn attempts_max() -> u32 {
    1000
}

impl Settings for VllmConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        let mut add = |key, problem: &str| found.push(Fault { key, problem: problem.to_owned() });
        if let Some(problem) = remote::address_fault(&self.url) {
            add("url", problem);
        }
        if self.prefix.is_empty() {
            add("prefix", "must not be empty: adapters that others loaded would be taken for ours");
        }
        if self.alias.as_ref().is_some_and(|alias| alias.is_empty() || alias.starts_with(&format!("{}-", self.prefix)))
        {
            add("alias", "must be a name that does not begin as those of the adapters do");
        }
        found.extend(remote::faults(self.timeout_seconds, self.attempts_max, self.pause_seconds));
        found
    }

    fn paths(&mut self) -> Vec<PathKey<'_>> {
        vec![PathKey { key: "key_file", path: &mut self.key_file, is_secret: true }]
    }

    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher> {
        let adapters = self.adapters_path.clone().unwrap_or_else(|| surroundings.adapters.clone());
        Box::new(Vllm { config: self.clone(), adapters, runtime: surroundings.runtime.clone() })
    }
}

struct Vllm {
    config: VllmConfig,
    /// The folder of all adapters, as the server sees it.
    adapters: PathBuf,
    runtime: Handle,
}

impl Vllm {
    fn server(&self) -> Result<Server<'_>, PublishError> {
        let VllmConfig { url, key_file, timeout_seconds, .. } = &self.config;
        Server::open(&self.runtime, url, key_file.as_deref(), Duration::from_secs(*timeout_seconds))
    }

    fn name_of(&self, adapter: &AdapterId) -> String {
        format!("{}-{adapter}", self.config.prefix)
    }

    /// Where the server finds a champion.
    fn path_of(&self, champion: &Champion) -> PathBuf {
        champion.folder.file_name().map_or_else(|| self.adapters.clone(), |folder| self.adapters.join(folder))
    }

    /// Whether an adapter of the server is one that this target loaded.
    fn is_ours(&self, loaded: &Loaded) -> bool {
        let named = loaded.name.strip_prefix(&self.config.prefix).and_then(|rest| rest.strip_prefix('-'));
        named.is_some() || self.config.alias.as_ref() == Some(&loaded.name)
    }

    /// Loads an adapter under a name, unless it is there: also where somebody else was quicker.
    fn load(&self, server: &Server<'_>, name: &str, path: &Path) -> Result<(), PublishError> {
        let is_there = |server: &Server<'_>| server.adapters().map(|all| all.iter().any(|one| one.is(name, path)));
        if is_there(server)? {
            return Ok(());
        }
        match server.load(name, path) {
            Err(refused) if refused.is_status(StatusCode::BAD_REQUEST) => {
                if is_there(server)? {
                    Ok(())
                } else {
                    Err(refused)
                }
            }
            loaded => loaded,
        }
    }

    /// Gives the alias to an adapter. What the server has cached under it goes first: it may be another adapter's, from long ago.
    fn point(&self, server: &Server<'_>, alias: &str, path: &Path) -> Result<(), PublishError> {
        let all = server.adapters()?;
        if all.iter().any(|one| one.is(alias, path)) {
            return Ok(());
        }
        server.forget_prefixes()?;
        if all.iter().any(|one| one.name == alias) {
            server.unload(alias)?;
            server.forget_prefixes()?;
        }
        server.load(alias, path)
    }

    /// Unloads all of ours but what is to stay.
    fn tidy(&self, server: &Server<'_>, stays: &[String]) -> Result<(), PublishError> {
        let all = server.adapters()?;
        let mut go = all.iter().filter(|one| self.is_ours(one) && !stays.contains(&one.name));
        go.try_for_each(|one| server.unload(&one.name))
    }
}

impl Publisher for Vllm {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn place(&self) -> Fingerprint {
        let VllmConfig { url, prefix, alias, .. } = &self.config;
        let parts = [url, prefix, alias.as_deref().unwrap_or_default()];
        parts.iter().fold(Fingerprinter::new(), |parts, part| parts.part(part.as_bytes())).finish()
    }

    fn reach(&self) -> Reach {
        Reach::Remote
    }

    fn tries(&self) -> Tries {
        remote::tries(self.config.attempts_max, self.config.pause_seconds)
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        let server = self.server()?;
        let Some(champion) = &wish.champion else { return self.tidy(&server, &[]) };
        let (name, path) = (self.name_of(&champion.adapter), self.path_of(champion));
        self.load(&server, &name, &path)?;
        probe(&server, &name)?;
        let alias = self.config.alias.as_ref();
        if let Some(alias) = alias {
            self.point(&server, alias, &path)?;
        }
        let before = wish.previous.as_ref().filter(|_| wish.reason != ROLLBACK).map(|before| self.name_of(before));
        let stays: Vec<String> = [Some(name), alias.cloned(), before].into_iter().flatten().collect();
        self.tidy(&server, &stays)
    }

    fn observe(&self, wish: &Wish) -> Result<Observed, PublishError> {
        let all = self.server()?.adapters()?;
        let has = |name: &str, path: &Path| all.iter().any(|one| one.is(name, path));
        let wished = wish.champion.as_ref().filter(|champion| {
            let (name, path) = (self.name_of(&champion.adapter), self.path_of(champion));
            has(&name, &path) && self.config.alias.as_ref().is_none_or(|alias| has(alias, &path))
        });
        if let Some(champion) = wished {
            return Ok(Observed::Serves(Some(champion.adapter.clone())));
        }
        // Any other of ours is one that should not be there.
        let other =
            all.iter().find_map(|one| one.name.strip_prefix(&self.config.prefix)?.strip_prefix('-')?.parse().ok());
        Ok(Observed::Serves(other))
    }

    fn check(&self) -> Result<String, PublishError> {
        let server = self.server()?;
        server.adapters()?;
        Ok(server.place())
    }
}

#[cfg(test)]
mod tests;

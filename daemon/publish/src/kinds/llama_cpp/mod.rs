//! `kind = "llama_cpp"`: a server of llama.cpp's, which holds adapters beside its base model and weighs them while it serves, but reads
//! their files at its start alone.
//!
//! So the champion's file is written under its own name, and the file `lora.env` says what the server is to be started with. Where the
//! server does not have the file, it is restarted by a program of the user's, with the adapter before still in service, and waited for.
//! Then it is asked, and must answer otherwise than the base model does; only then the champion weighs 1, and all others nothing, also
//! in `lora.env`. The adapter before stays in the server for the rollback, which then takes no restart. What the server weighs is read
//! from it at each look, so one that was set otherwise is set right.

mod files;
mod probe;
mod server;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use perennial_types::{AdapterId, Fingerprint, Fingerprinter};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use self::{
    files::Files,
    probe::probe,
    server::{Listed, Server},
};
use crate::{
    Exporter, Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    program::Program,
    remote::{self, attempts_max, pause_seconds},
};

/// Why a change was made that took back the one before.
const ROLLBACK: &str = "rollback";
/// How long it is waited before a server that is starting is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The longest that a server may be waited for, in seconds.
const READY_SECONDS_MAX: u64 = 3600;
/// What else lies in `export/`, whose folders are called as their targets are.
const TAKEN_NAMES: [&str; 3] = [".", "..", "current"];

/// The keys of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlamaCppConfig {
    /// What it is called.
    #[serde(default = "name")]
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// The folder of its files; the folder of the target's name in `export/` in the state directory where it is unset.
    pub path: Option<PathBuf>,
    /// The same as the server sees it; as this machine does where it is unset.
    pub server_path: Option<PathBuf>,
    /// The program that restarts it, and what follows; nobody where it is empty.
    #[serde(default)]
    pub restart: Vec<String>,
    /// How long that may take; it is killed then.
    #[serde(default = "restart_seconds")]
    pub restart_seconds: u64,
    /// How long the server may then take until it answers.
    #[serde(default = "ready_seconds")]
    pub ready_seconds: u64,
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
    "llama_cpp".to_owned()
}

fn restart_seconds() -> u64 {
    60
}

/// Longer than a large model takes to load.
fn ready_seconds() -> u64 {
    600
}

/// Longer than a busy processor takes to read a short prompt.
fn timeout_seconds() -> u64 {
    60
}

impl Settings for LlamaCppConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        let mut add = |key, problem: &str| found.push(Fault { key, problem: problem.to_owned() });
        if let Some(problem) = remote::address_fault(&self.url) {
            add("url", problem);
        }
        if self.server_path.as_ref().is_some_and(|path| path.is_relative()) {
            add("server_path", "must be an absolute path, as the server sees it");
        }
        let key = if self.server_path.is_some() { "server_path" } else { "path" };
        let seen = self.server_path.as_ref().or(self.path.as_ref());
        if let Some(problem) = seen.and_then(|seen| files::cut(seen)) {
            add(key, problem);
        }
        if self.path.is_none() && TAKEN_NAMES.contains(&self.name.as_str()) {
            add("name", "is taken in the folder of exports: choose another, or set path");
        }
        if let Some(problem) = Program::fault(&self.restart).filter(|_| !self.restart.is_empty()) {
            add("restart", problem);
        }
        let seconds = [("restart_seconds", self.restart_seconds), ("ready_seconds", self.ready_seconds)];
        for (key, _) in seconds.into_iter().filter(|(_, seconds)| !(1..=READY_SECONDS_MAX).contains(seconds)) {
            add(key, "must be from 1 to 3600");
        }
        found.extend(remote::faults(self.timeout_seconds, self.attempts_max, self.pause_seconds));
        found
    }

    fn paths(&mut self) -> Vec<PathKey<'_>> {
        vec![
            PathKey { key: "path", path: &mut self.path, is_secret: false },
            PathKey { key: "key_file", path: &mut self.key_file, is_secret: true },
        ]
    }

    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher> {
        let folder = self.path.clone().unwrap_or_else(|| surroundings.export.join(&self.name));
        let seen = self.server_path.clone().unwrap_or_else(|| folder.clone());
        Box::new(LlamaCpp {
            config: self.clone(),
            files: Files { folder, seen },
            exporter: Arc::clone(&surroundings.exporter),
            runtime: surroundings.runtime.clone(),
            restarted_in_vain: Mutex::default(),
        })
    }
}

struct LlamaCpp {
    config: LlamaCppConfig,
    files: Files,
    exporter: Arc<dyn Exporter>,
    runtime: Handle,
    /// The adapter for which the server was restarted and did not have it then: a further restart would only disturb.
    restarted_in_vain: Mutex<Option<AdapterId>>,
}

impl LlamaCpp {
    fn server(&self) -> Result<Server<'_>, PublishError> {
        let LlamaCppConfig { url, key_file, timeout_seconds, .. } = &self.config;
        Server::open(&self.runtime, url, key_file.as_deref(), Duration::from_secs(*timeout_seconds))
    }

    /// The number under which the server has the file of the first of these adapters, after a restart where it takes one.
    fn loaded(&self, server: &Server<'_>, adapters: &[&AdapterId]) -> Result<u64, PublishError> {
        let [adapter, ..] = adapters else { return Err(server.unlike("is to have no adapter")) };
        let place =
            |listed: &[Listed]| listed.iter().find(|one| one.is_file(&self.files.name_of(adapter))).map(|one| one.id);
        if let Some(id) = place(&server.adapters()?) {
            return Ok(id);
        }
        // Nobody has asked it yet: until then the one before stays in service.
        self.files.tell(&weighed(adapters, 1))?;
        let arguments = self.files.arguments()?;
        if self.config.restart.is_empty() {
            return Err(server.unlike(format!(
                "does not have the champion's file, and reads files at its start alone: restart it with `{arguments}`, which {} says \
                 too, or let `restart` do so",
                self.files.environment().display()
            )));
        }
        if self.in_vain().as_ref() == Some(*adapter) {
            return Err(server.unlike(format!(
                "was restarted and does not have the champion's file: it must be started with `{arguments}`, which {} says too; it is \
                 not restarted for this champion again",
                self.files.environment().display()
            )));
        }
        self.restart(&arguments)?;
        let since = Instant::now();
        let mut is_ready = false;
        while since.elapsed() < Duration::from_secs(self.config.ready_seconds) {
            is_ready = server.is_ready();
            if is_ready
                && let Ok(all) = server.adapters()
                && let Some(id) = place(&all)
            {
                return Ok(id);
            }
            self.runtime.block_on(async { tokio::time::sleep(ASK_AGAIN).await });
        }
        let waited = self.config.ready_seconds;
        if !is_ready {
            return Err(server.unlike(format!("was restarted, and is not ready after ready_seconds, {waited}")));
        }
        *self.in_vain() = Some((*adapter).clone());
        Err(server.unlike(format!(
            "was restarted, and after ready_seconds, {waited}, does not have the champion's file: it must be started with `{arguments}`"
        )))
    }

    fn restart(&self, arguments: &str) -> Result<(), PublishError> {
        let program = Program {
            run: &self.config.restart,
            environment: vec![(files::VARIABLE, arguments.to_owned())],
            input: &[],
            timeout: Duration::from_secs(self.config.restart_seconds),
            timeout_key: "restart_seconds",
        };
        let place = self.config.restart.first().cloned().unwrap_or_default();
        program.run(&self.runtime).map_err(|problem| PublishError::Unlike { place, problem })
    }

    fn in_vain(&self) -> MutexGuard<'_, Option<AdapterId>> {
        self.restarted_in_vain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The adapters, of which the one at this place weighs 1, if there is one, and the others nothing.
fn weighed<'a>(adapters: &[&'a AdapterId], at: usize) -> Vec<(&'a AdapterId, u8)> {
    adapters.iter().enumerate().map(|(place, adapter)| (*adapter, u8::from(place == at))).collect()
}

impl Publisher for LlamaCpp {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn place(&self) -> Fingerprint {
        let folder = self.files.folder.to_string_lossy();
        Fingerprinter::new().part(self.config.url.as_bytes()).part(folder.as_bytes()).finish()
    }

    fn reach(&self) -> Reach {
        Reach::Remote
    }

    fn tries(&self) -> Tries {
        remote::tries(self.config.attempts_max, self.config.pause_seconds)
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        let server = self.server()?;
        let Some(champion) = &wish.champion else {
            self.files.tell(&[])?;
            server.weigh(&server.adapters()?, None)?;
            return self.files.tidy(&[]);
        };
        self.files.write(champion, &*self.exporter)?;
        let before = wish.previous.as_ref().filter(|before| wish.reason != ROLLBACK && self.files.has(before));
        let stays: Vec<&AdapterId> = [Some(&champion.adapter), before].into_iter().flatten().collect();
        let id = self.loaded(&server, &stays)?;
        let all = server.adapters()?;
        probe(&server, &all, id)?;
        server.weigh(&all, Some(id))?;
        self.files.tell(&weighed(&stays, 0))?;
        self.files.tidy(&stays)
    }

    fn observe(&self, wish: &Wish) -> Result<Observed, PublishError> {
        let all = self.server()?.adapters()?;
        let adapter_of = |listed: &Listed| files::adapter_of(listed.file_name()?);
        let mut weighed = all.iter().filter(|listed| listed.scale != 0.0);
        let wished = |listed: &Listed| listed.scale == 1.0 && adapter_of(listed).as_ref() == wish.adapter();
        match (weighed.next(), weighed.next()) {
            (Some(only), None) if wished(only) => Ok(Observed::Serves(wish.adapter().cloned())),
            // Any other is one that should not count, whoever put it there.
            _ => {
                let other = all.iter().filter(|listed| listed.scale != 0.0).filter_map(adapter_of);
                Ok(Observed::Serves(other.into_iter().find(|other| Some(other) != wish.adapter())))
            }
        }
    }

    fn check(&self) -> Result<String, PublishError> {
        let server = self.server()?;
        server.adapters()?;
        if let Some(program) = self.config.restart.first().map(PathBuf::from)
            && let Err(source) = program.metadata()
        {
            return Err(PublishError::Io { action: "find the program", path: program, source });
        }
        Ok(server.place())
    }
}

#[cfg(test)]
mod tests;

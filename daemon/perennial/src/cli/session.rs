use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, bail};
use core_affinity::CoreId;
use perennial_learn::compute::choose_isa;
use tokio::runtime::{Builder, Runtime};

use super::{client::Client, token};
use crate::{
    config::{self, Config, Loaded, Log, LogFormat, Resources, Sources},
    lock::{DaemonFile, StateLock},
    ports::{Context, Ports},
    state::StateDir,
    telemetry::{self, LogControl, ProgressBar, Telemetry},
    wire::{recover, wire},
};

/// What every command starts from: the configuration and the state directory. Nothing is written yet.
pub(super) struct Session {
    sources: Sources,
    loaded: Loaded,
    state: StateDir,
}

/// The parts of a state directory, in this process.
pub(super) struct Parts {
    pub(super) context: Context,
    pub(super) ports: Ports,
    pub(super) runtime: Runtime,
    /// Held where something may be written.
    _lock: Option<StateLock>,
}

/// Who answers a command.
pub(super) enum Answerer {
    /// The daemon that runs on the state directory.
    Daemon(Client),
    /// This process.
    Here(Box<Parts>),
}

/// What a command may log. What `run` may is configured.
const QUIET: &str = "warn";

impl Session {
    pub(super) fn open(sources: Sources) -> anyhow::Result<Self> {
        let loaded = config::load(&sources)?;
        let Config { state, ingest, .. } = &loaded.config;
        let state = StateDir::new(&state.dir, ingest.inbox.as_deref());
        Ok(Self { sources, loaded, state })
    }

    pub(super) fn config(&self) -> &Config {
        &self.loaded.config
    }

    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(super) fn state(&self) -> &StateDir {
        &self.state
    }

    /// Sends the log where the configuration says: for the daemon, and for commands that do a daemon's work.
    pub(super) fn log(&self, progress: &ProgressBar) -> anyhow::Result<LogControl> {
        Ok(telemetry::init_log(&self.config().log, progress)?)
    }

    /// As [`log_quietly`](Self::log_quietly), with a bar that no line tears.
    pub(super) fn log_beside(&self, progress: &ProgressBar) -> anyhow::Result<()> {
        telemetry::init_log(&Log { format: LogFormat::Text, level: self.quiet_level() }, progress)?;
        Ok(())
    }

    /// Tells a person of warnings only, unless the configuration asks for another level.
    pub(super) fn log_quietly(&self) -> anyhow::Result<()> {
        self.log_beside(&ProgressBar::hidden())
    }

    fn quiet_level(&self) -> String {
        match self.loaded.origins.contains_key("log.level") {
            true => self.config().log.level.clone(),
            false => QUIET.to_owned(),
        }
    }

    /// The daemon if one runs, else the parts without the lock, for a command that only reads.
    pub(super) fn to_read(&self) -> anyhow::Result<Answerer> {
        self.log_quietly()?;
        if let Some(daemon) = DaemonFile::find(&self.state) {
            return Ok(Answerer::Daemon(self.client(&daemon)?));
        }
        self.require_state()?;
        Ok(Answerer::Here(Box::new(self.parts(None, ProgressBar::hidden())?)))
    }

    /// That something was begun in the state directory.
    ///
    /// # Errors
    /// Where nothing was.
    pub(super) fn require_state(&self) -> anyhow::Result<()> {
        if !self.state.database().is_file() {
            let state = self.state.root().display();
            bail!("there is nothing at {state} yet: `perennial ingest` or `perennial run` begins there");
        }
        Ok(())
    }

    /// The daemon if one runs, else the parts under the lock, for a command that writes. `what` is what others are told
    /// who want the lock meanwhile.
    pub(super) fn to_write(&self, what: &str) -> anyhow::Result<Answerer> {
        if let Some(daemon) = DaemonFile::find(&self.state) {
            self.log_quietly()?;
            return Ok(Answerer::Daemon(self.client(&daemon)?));
        }
        let lock = StateLock::take(&self.state, what)?;
        let progress = ProgressBar::on_terminal();
        self.log(&progress)?;
        let parts = self.parts(Some(lock), progress)?;
        recover(&parts.context)?;
        Ok(Answerer::Here(Box::new(parts)))
    }

    fn client(&self, daemon: &DaemonFile) -> anyhow::Result<Client> {
        Client::new(daemon, token::find(&self.sources.environment, self.config().http.tokens_file.as_deref())?)
    }

    /// The parts in this process, under the lock that the caller took.
    pub(super) fn parts(&self, lock: Option<StateLock>, progress: ProgressBar) -> anyhow::Result<Parts> {
        let runtime = self.runtime()?;
        let telemetry = Telemetry::new(progress)?;
        let (context, ports) = wire(self.config().clone(), self.state.clone(), telemetry, runtime.handle().clone())?;
        Ok(Parts { context, ports, runtime, _lock: lock })
    }

    /// Gives calculations their threads. Once in a process, before anything is calculated.
    pub(super) fn limit_threads(&self) -> anyhow::Result<()> {
        let Resources { threads, cpus, isa } = &self.config().resources;
        if let Some(isa) = isa.0 {
            choose_isa(isa).context("`resources.isa`")?;
        }
        let refused = Arc::new(AtomicBool::new(false));
        let mut pool = rayon::ThreadPoolBuilder::new().num_threads(*threads);
        if !cpus.is_empty() {
            let there = core_affinity::get_core_ids().unwrap_or_default();
            if let Some(missing) = cpus.iter().find(|cpu| there.iter().all(|core| core.id != **cpu)) {
                bail!("`resources.cpus` names the processor {missing}, which this process may not use");
            }
            let (own, count) = (cpus.clone(), if *threads == 0 { cpus.len() } else { *threads });
            let refused = Arc::clone(&refused);
            let pin = move |thread: usize| {
                let pinned = core_affinity::set_for_current(CoreId { id: own[thread % own.len()] });
                refused.fetch_or(!pinned, Ordering::Relaxed);
            };
            pool = pool.num_threads(count).start_handler(pin);
        }
        pool.build_global().context("the threads cannot be started")?;
        if !cpus.is_empty() {
            // Each has come through its start when it takes part in this.
            rayon::broadcast(|_| {});
        }
        if refused.load(Ordering::Relaxed) {
            bail!(
                "`resources.cpus` = {cpus:?}: the system does not let threads keep to processors; a service needs \
                 `SystemCallFilter=sched_setaffinity` for it, or `CPUAffinity=` in place of this key"
            );
        }
        Ok(())
    }

    /// A runtime, with calculations limited to their threads.
    pub(super) fn runtime(&self) -> anyhow::Result<Runtime> {
        self.limit_threads()?;
        // The loop, HTTP and LanceDB's I/O: what calculates has threads of its own.
        const WORKERS: usize = 2;
        Ok(Builder::new_multi_thread().worker_threads(WORKERS).thread_name("async").enable_all().build()?)
    }
}

use super::Config;

/// What a new configuration changes while the daemon runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reload {
    /// The configuration to put in force: the new one, but for what only a restart can change.
    pub(crate) config: Config,
    /// The sections with keys that changed and are in force now.
    pub(crate) applied: Vec<&'static str>,
    /// The keys that changed and wait for a restart.
    pub(crate) needs_restart: Vec<&'static str>,
}

/// Keeps the running value of each key that only a restart can change, and tells which of them the new file changes.
macro_rules! keep {
    ($running:ident, $new:ident, $kept:ident, $($section:ident . $key:ident),+ $(,)?) => {
        $(if $running.$section.$key != $new.$section.$key {
            $new.$section.$key = $running.$section.$key.clone();
            $kept.push(concat!(stringify!($section), ".", stringify!($key)));
        })+
    };
}

macro_rules! changed {
    ($running:ident, $new:ident, $($section:ident),+ $(,)?) => {{
        let mut changed = Vec::new();
        $(if $running.$section != $new.$section {
            changed.push(stringify!($section));
        })+
        changed
    }};
}

impl Reload {
    /// Compares what runs with what was read.
    pub(crate) fn between(running: &Config, mut new: Config) -> Self {
        let mut needs_restart = Vec::new();
        keep!(
            running,
            new,
            needs_restart,
            state.dir,
            model.base,
            model.cache,
            model.precision,
            ingest.inbox,
            ingest.rescan_seconds,
            ingest.settle_seconds,
            ingest.desks,
            replay.embedding,
            replay.layer,
            http.listen,
            http.socket_mode,
            http.tokens_file,
            http.body_bytes_max,
            http.header_seconds,
            http.body_seconds,
            http.connections_max,
            resources.threads,
            resources.cpus,
            resources.isa,
            log.format,
        );
        if running.publish != new.publish {
            new.publish.clone_from(&running.publish);
            needs_restart.push("publish");
        }
        let applied = changed!(
            running, new, state, model, ingest, replay, cycle, train, grpo, rollout, reward, gate, promotion, drift,
            trigger, http, resources, log, shutdown,
        );
        Self { config: new, applied, needs_restart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Listen;

    #[test]
    fn what_cannot_change_is_kept_and_named() {
        let running = Config::default();
        let mut new = Config::default();
        new.http.listen = Listen::Tcp(([127, 0, 0, 1], 1).into());
        new.cycle.samples_min = 7;
        new.log.level = "debug".into();
        let reload = Reload::between(&running, new);
        assert_eq!(reload.needs_restart, ["http.listen"]);
        assert_eq!(reload.applied, ["cycle", "log"]);
        assert_eq!(reload.config.http, running.http);
        assert_eq!(reload.config.cycle.samples_min, 7);
    }
}

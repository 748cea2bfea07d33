//! The one configuration: defaults, then `config/perennial.toml`, then the environment, then the command line.
//!
//! Everything is checked before anything is done: unknown keys and wrong types with their place in the file and the
//! nearest key that exists, then what the values mean ([`validate`]).

mod ceilings;
mod compute;
mod credentials;
mod drift;
mod dump;
mod error;
mod foreign;
mod frozen;
mod gate;
mod ingest;
mod learned;
mod learner;
mod listen;
mod load;
mod log_level;
mod nearest;
mod objective;
mod overrides;
mod paths;
mod penalty;
mod place;
mod problems;
mod promotion;
mod publish;
mod ratio;
mod reload;
mod renamed;
mod replay;
mod rewards;
mod sections;
#[cfg(test)]
mod shipped;
mod slow;
mod sources;
mod stages;
mod start;
mod time_scales;
mod validate;
mod validation;

use std::sync::Arc;

use tokio::sync::watch;

#[cfg(test)]
pub(crate) use self::ingest::{FileBounds, RequestBounds};
pub(crate) use self::{
    compute::{Isa, Precision, TrainDevice},
    drift::{Drift, Trigger},
    dump::dump,
    error::ConfigError,
    frozen::{as_before_validation, read_frozen},
    gate::{AutoSuite, Gate, Repin, Suite},
    ingest::Ingest,
    learned::key_to_train,
    listen::{Listen, SocketMode},
    load::{Loaded, load},
    log_level::{LevelError, log_filter},
    objective::{Objective, TrainStage},
    promotion::Promotion,
    ratio::Ratio,
    reload::Reload,
    replay::{BaseAnswers, Embedding, Replay},
    rewards::{Reward, RewardPlugin, Rollout, RolloutServer},
    sections::*,
    slow::Slow,
    sources::Sources,
    stages::stages_of,
    start::Start,
};

/// The configuration in force. Cheap to clone; SIGHUP changes what [`SharedConfig::current`] returns.
#[derive(Clone)]
pub(crate) struct SharedConfig(Arc<watch::Sender<Arc<Config>>>);

impl SharedConfig {
    /// Starts with this configuration.
    pub(crate) fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// The configuration in force now. Hold on to it for one piece of work, then ask again.
    pub(crate) fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts another configuration in force.
    pub(crate) fn replace(&self, config: Config) {
        self.0.send_replace(Arc::new(config));
    }
}

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use super::{ProgressBar, journal::Journal};
use crate::config::{LevelError, Log, LogFormat, log_filter};

/// What can be changed about the log while it runs.
#[derive(Clone)]
pub(crate) struct LogControl(reload::Handle<EnvFilter, Registry>);

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The level is no filter.
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error("the log was set up before")]
    Again(#[from] tracing_subscriber::util::TryInitError),
    #[error("the log's level cannot be changed any more")]
    Gone(#[from] reload::Error),
}

/// Sends log lines to standard error: text for a person at a terminal, JSON otherwise, unless the configuration says; to systemd's journal
/// with a field each where standard error goes there.
///
/// # Errors
/// Where the level is no filter, or a log was set up before.
pub(crate) fn init(log: &Log, progress: &ProgressBar) -> Result<LogControl, LogError> {
    let (filter, handle) = reload::Layer::new(log_filter(&log.level)?);
    let subscriber = tracing_subscriber::registry().with(filter);
    let format = tracing_subscriber::fmt::layer().with_writer(progress.writer());
    let terminal = std::io::stderr().is_terminal();
    if let (LogFormat::Auto, Some(journal)) = (log.format, Journal::of_standard_error()) {
        subscriber.with(journal).try_init()?;
        return Ok(LogControl(handle));
    }
    match log.format {
        LogFormat::Json => subscriber.with(format.json().flatten_event(true)).try_init()?,
        LogFormat::Auto if !terminal => subscriber.with(format.json().flatten_event(true)).try_init()?,
        LogFormat::Text | LogFormat::Auto => {
            subscriber.with(format.with_ansi(terminal).with_target(false)).try_init()?
        }
    }
    Ok(LogControl(handle))
}

impl LogControl {
    /// Of no log, for tests: what is told to it has no effect.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self(reload::Layer::new(EnvFilter::default()).1)
    }

    /// Changes the level.
    pub(crate) fn set_level(&self, level: &str) -> Result<(), LogError> {
        Ok(self.0.reload(log_filter(level)?)?)
    }
}

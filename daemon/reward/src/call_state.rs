use crate::{
    LogLevel,
    bindings::perennial::reward::{log, types},
    limits::Limits,
    log::Log,
    system::System,
};

/// What the host knows during one call. It ends with the call.
pub(crate) struct CallState {
    pub(crate) limits: Limits,
    pub(crate) log: Log,
    pub(crate) system: System,
}

impl log::Host for CallState {
    fn emit(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
        };
        self.log.push(level, &message);
    }
}

impl types::Host for CallState {}

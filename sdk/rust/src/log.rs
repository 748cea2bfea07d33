//! Messages to the operator. The host caps their number and length; there is no other output.
//!
//! Natively they go nowhere but into [`testing::logged`](crate::testing::logged).

pub use crate::level::Level;

/// Says something for the plugin's author.
pub fn debug(message: impl AsRef<str>) {
    emit(Level::Debug, message.as_ref());
}

/// Says something for who wonders.
pub fn info(message: impl AsRef<str>) {
    emit(Level::Info, message.as_ref());
}

/// Says that something is wrong with the data or the configuration.
pub fn warn(message: impl AsRef<str>) {
    emit(Level::Warn, message.as_ref());
}

#[cfg(target_arch = "wasm32")]
fn emit(level: Level, message: &str) {
    crate::guest::emit(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn emit(level: Level, message: &str) {
    crate::testing::record(level, message);
}

use std::time::Duration;

use wasmtime::{Engine, component::Component};

use crate::Refusal;

/// How a plugin's machine code came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compilation {
    /// Whether it was in the cache.
    pub cached: bool,
    /// How long it took to compile it or to read it.
    pub took: Duration,
    /// Why it could not be kept in the cache; the plugin runs nevertheless, and the next load compiles again.
    pub cache_problem: Option<String>,
}

/// Compiles a component to machine code.
pub(crate) fn compile(engine: &Engine, component: &[u8]) -> Result<Component, Refusal> {
    Component::from_binary(engine, component).map_err(|error| Refusal::Compile(explained(&error)))
}

/// The code of a component, as [`from_code`] takes it.
pub(crate) fn to_code(component: &Component) -> Result<Vec<u8>, Refusal> {
    component.serialize().map_err(|error| Refusal::Compile(format!("{error:#}")))
}

/// A component from its code; `None` where the code is another engine's. wasmtime compares the engine's version, settings
/// and instruction set with those in the code, and refuses others.
#[allow(unsafe_code)]
pub(crate) fn from_code(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` must come from `Component::serialize`, unchanged. It comes from the cache, where only this program's user
    // can write, this program writes nothing else, and the seal has shown that these are the bytes it wrote for this very
    // entry; or from this program's own loader, through a pipe that nobody else holds.
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// What wasmtime says where the system lets no memory become executable.
const NOT_EXECUTABLE: &str = "unable to make memory executable";

fn explained(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    if !text.contains(NOT_EXECUTABLE) {
        return text;
    }
    format!("{text}; plugins are machine code, so a service that runs them must not set MemoryDenyWriteExecute")
}

use std::time::{Duration, Instant};

use wasmtime::component::Component;

use crate::{Refusal, cache::Key, host::HostInner};

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

pub(crate) fn compile(host: &HostInner, bytes: &[u8]) -> Result<(Component, Compilation), Refusal> {
    let started = Instant::now();
    let cache = host.cache.as_ref().map(|cache| (cache, Key::of(&host.engine, bytes)));
    if let Some(component) = cache.as_ref().and_then(|(cache, key)| cache.get(&host.engine, key)) {
        return Ok((component, Compilation { cached: true, took: started.elapsed(), cache_problem: None }));
    }
    let component = Component::from_binary(&host.engine, bytes).map_err(|error| Refusal::Compile(explained(&error)))?;
    let cache_problem = cache.and_then(|(cache, key)| cache.put(&key, &component).err()).map(|error| error.to_string());
    Ok((component, Compilation { cached: false, took: started.elapsed(), cache_problem }))
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

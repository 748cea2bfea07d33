use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use perennial_types::Fingerprint;
use wasmtime::component::{Component, Linker};

use crate::{
    Descriptor, Host, LoadError, Plugin, PluginIdentity, PluginOptions, Refusal, Wasi,
    bindings::RewardPre,
    call::{Budget, CallState, run},
    compile::compile,
    fault::{Failure, explain},
    host::HostInner,
    inspect::{Inspection, open},
    plugin::PluginInner,
    schema, wasi,
};

impl Host {
    /// Loads a plugin from a file: see [`load_bytes`](Self::load_bytes). A file beyond `component_bytes_max` is refused by
    /// its size, unread.
    ///
    /// # Errors
    /// As [`load_bytes`](Self::load_bytes), and where the file cannot be read.
    pub fn load(&self, path: &Path, options: &PluginOptions) -> Result<Plugin, LoadError> {
        let bytes = read(path, self.options().component_bytes_max).map_err(|refusal| refusal.of(&options.name))?;
        self.load_bytes(&bytes, options)
    }

    /// Loads a plugin: parses it, judges its imports, compiles it (or takes it from the cache), asks it to describe itself,
    /// and checks its configuration against its schema.
    ///
    /// # Errors
    /// What stands against it, with its name and what to do.
    pub fn load_bytes(&self, bytes: &[u8], options: &PluginOptions) -> Result<Plugin, LoadError> {
        self.try_load(bytes, options).map_err(|refusal| refusal.of(&options.name))
    }

    fn try_load(&self, bytes: &[u8], options: &PluginOptions) -> Result<Plugin, Refusal> {
        let host = &self.inner;
        check_size(bytes.len() as u64, host.options.component_bytes_max)?;
        let config = schema::canonical(&options.config).to_string();
        if config.len() > host.options.config_bytes_max {
            return Err(Refusal::ConfigTooLarge { bytes: config.len(), bytes_max: host.options.config_bytes_max });
        }
        let opened = open(bytes)?;
        opened.inspection.judge(options.wasi)?;
        let (component, compilation) = compile(host, &opened.component)?;
        let linker = linker(host, &component, options.wasi).map_err(unfit)?;
        let code = linker.instantiate_pre(&component).and_then(RewardPre::new).map_err(unfit)?;
        let budget = Budget {
            fuel_per_sample: options.fuel_per_sample.unwrap_or(host.options.fuel_per_sample),
            deadline: options.deadline.unwrap_or(host.options.deadline),
            memory_bytes_max: options.memory_bytes_max.unwrap_or(host.options.memory_bytes_max),
        };
        let described = run(host, &code, &budget, 1, |_| {}, |guest, store| guest.call_describe(store));
        let raw = described.answer.map_err(|error| {
            Refusal::Describe(match explain(&error, &budget, &host.options, 1) {
                Failure::Faulted(fault) => fault.message,
                Failure::TimedOut(message) => message,
            })
        })?;
        let descriptor = Descriptor::check(raw).map_err(Refusal::Descriptor)?;
        let validator = schema::compile(&descriptor.config_schema).map_err(Refusal::Descriptor)?;
        schema::check(&validator, &options.config).map_err(Refusal::Config)?;
        let identity = identity(options, &descriptor, opened.inspection, &config);
        let inner = PluginInner { host: Arc::clone(host), code, budget, identity, descriptor, config, compilation };
        Ok(Plugin { inner: Arc::new(inner) })
    }
}

fn linker<'h>(host: &'h HostInner, component: &Component, wasi: Wasi) -> wasmtime::Result<Cow<'h, Linker<CallState>>> {
    match wasi {
        Wasi::Denied => Ok(Cow::Borrowed(&host.linker)),
        Wasi::Stubbed => {
            let mut linker = host.linker.clone();
            wasi::define(&mut linker, component)?;
            Ok(Cow::Owned(linker))
        }
    }
}

fn identity(options: &PluginOptions, descriptor: &Descriptor, inspection: Inspection, config: &str) -> PluginIdentity {
    PluginIdentity {
        name: options.name.clone(),
        plugin: descriptor.name.clone(),
        version: descriptor.version.clone(),
        interface: inspection.interface.unwrap_or_default(),
        hash: inspection.hash,
        config_hash: Fingerprint::of(config.as_bytes()),
    }
}

/// Asks for the size first, and reads no more than the limit even if the file grows meanwhile.
fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let failed = |source| Refusal::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    // A pipe could be waited for without end.
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let size = metadata.len();
    check_size(size, bytes_max)?;
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    check_size(bytes.len() as u64, bytes_max)?;
    Ok(bytes)
}

fn check_size(bytes: u64, bytes_max: u64) -> Result<(), Refusal> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Refusal::TooLarge { bytes, bytes_max })
}

fn unfit(error: wasmtime::Error) -> Refusal {
    Refusal::NotAPlugin(format!("{error:#}; build it with a plugin SDK"))
}

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Instant,
};

use perennial_types::Fingerprint;

use crate::{
    Compilation, Depth, Descriptor, Host, HostOptions, Inspection, LoadError, Loaded, Order, Plugin, PluginIdentity,
    PluginOptions, Refusal,
    cache::Key,
    compile::{from_code, to_code},
    loader::Job,
    plugin::PluginInner,
    prepare::{Ready, budget, guest, prepare},
    schema,
};

impl Host {
    /// Loads a plugin from a file: see [`load_bytes`](Self::load_bytes). A file beyond `component_bytes_max` is refused by
    /// its size, unread.
    ///
    /// # Errors
    /// As [`load_bytes`](Self::load_bytes), and where the file cannot be read.
    pub fn load(&self, path: &Path, options: &PluginOptions) -> Result<Plugin, LoadError> {
        self.load_bytes(&self.read(path, &options.name)?, options)
    }

    /// Loads a plugin: parses it, judges its imports, compiles it (or takes it from the cache), asks it to describe itself,
    /// and checks its configuration against its schema. The host's [`Loader`](crate::Loader) does so, where it has one.
    ///
    /// # Errors
    /// What stands against it, with its name and what to do.
    pub fn load_bytes(&self, bytes: &[u8], options: &PluginOptions) -> Result<Plugin, LoadError> {
        self.try_load(bytes, options).map_err(|refusal| refusal.of(&options.name))
    }

    /// What a plugin's bytes say it is: as [`inspect`](crate::inspect), by the host's [`Loader`](crate::Loader), where it has
    /// one.
    ///
    /// # Errors
    /// Where they are no plugin's.
    pub fn inspect_bytes(&self, bytes: &[u8], name: &str) -> Result<Inspection, LoadError> {
        let job = Job { order: self.order(Depth::Inspect, &PluginOptions::new(name)), bytes, code: None };
        let inspected = match &self.inner.loader {
            Some(loader) => loader.load(&job).map(|loaded| loaded.inspection),
            None => prepare(&self.inner, &job).map(|prepared| prepared.inspection),
        };
        inspected.map_err(|refusal| refusal.of(name))
    }

    /// A plugin's file: a regular one, of `component_bytes_max` at most.
    ///
    /// # Errors
    /// Where it cannot be read, or is another.
    pub fn read(&self, path: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
        read(path, self.options().component_bytes_max).map_err(|refusal| refusal.of(name))
    }

    fn try_load(&self, bytes: &[u8], options: &PluginOptions) -> Result<Plugin, Refusal> {
        let host = &self.inner;
        check_size(bytes.len() as u64, host.options.component_bytes_max)?;
        let config = schema::canonical(&options.config).to_string();
        if config.len() > host.options.config_bytes_max {
            return Err(Refusal::ConfigTooLarge { bytes: config.len(), bytes_max: host.options.config_bytes_max });
        }
        let (inspection, ready, compilation) = self.prepared(bytes, options)?;
        let Ready { component, descriptor, .. } = ready;
        let code = guest(host, &component, options.wasi)?;
        let identity = identity(options, &descriptor, inspection, &config);
        let budget = budget(host, options);
        let inner = PluginInner { host: Arc::clone(host), code, budget, identity, descriptor, config, compilation };
        Ok(Plugin { inner: Arc::new(inner) })
    }

    fn prepared(&self, bytes: &[u8], options: &PluginOptions) -> Result<(Inspection, Ready, Compilation), Refusal> {
        let host = &self.inner;
        let started = Instant::now();
        let cache = host.cache.as_ref().map(|cache| (cache, Key::of(&host.engine, bytes)));
        let known = cache.as_ref().and_then(|(cache, key)| cache.get(key));
        let job = Job { order: self.order(Depth::Load, options), bytes, code: known.as_deref() };
        let (inspection, ready, code) = match &host.loader {
            Some(loader) => self.ready(loader.load(&job)?, known.as_deref())?,
            None => {
                let prepared = prepare(host, &job)?;
                (prepared.inspection, prepared.ready.ok_or_else(incomplete)?, None)
            }
        };
        let keep = |(cache, key): (&crate::cache::Cache, Key)| {
            let code = code.map_or_else(|| to_code(&ready.component), Ok).map_err(|refusal| refusal.to_string())?;
            cache.put(&key, &code).map_err(|error| error.to_string())
        };
        let cache_problem = cache.filter(|_| !ready.cached).and_then(|entry| keep(entry).err());
        let compilation = Compilation { cached: ready.cached, took: started.elapsed(), cache_problem };
        Ok((inspection, ready, compilation))
    }

    /// What a loader gave, in this process; with the code that it had to compile.
    fn ready(&self, loaded: Loaded, known: Option<&[u8]>) -> Result<(Inspection, Ready, Option<Vec<u8>>), Refusal> {
        let Loaded { inspection, descriptor, code } = loaded;
        let descriptor = descriptor.ok_or_else(incomplete)?;
        let cached = code.is_none();
        let component = code.as_deref().or(known).and_then(|code| from_code(&self.inner.engine, code));
        let component = component.ok_or_else(incomplete)?;
        Ok((inspection, Ready { component, descriptor, cached }, code))
    }

    fn order(&self, depth: Depth, options: &PluginOptions) -> Order {
        let limits = HostOptions { cache_dir: None, concurrent_calls_max: 1, ..self.options().clone() };
        Order { depth, options: options.clone(), limits }
    }
}

/// A loader that does not keep its side of the contract.
fn incomplete() -> Refusal {
    Refusal::Loader("what its loader gave is of another version of this program: restart it".to_owned())
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

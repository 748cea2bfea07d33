use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::text::quote_guest;

/// The length of a line about a plugin, in bytes; what the plugin itself put into it may be of any length.
pub(crate) const LINE_BYTES_MAX: usize = 2048;

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine refuses the options, or the machine cannot run it.
    #[error("the reward host cannot start: {0}")]
    Engine(String),
    /// An option makes no sense.
    #[error("{option} {problem}")]
    Option {
        /// As the field of [`HostOptions`](crate::HostOptions) is called.
        option: &'static str,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The compile cache cannot be used.
    #[error("the cache of compiled plugins, {path}: {problem}", path = path.display())]
    Cache {
        /// The cache's folder, or what stands in its way.
        path: PathBuf,
        /// What is wrong and how to mend it.
        problem: String,
    },
}

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin}: {}", quote_guest(&refusal.to_string(), LINE_BYTES_MAX))]
pub struct LoadError {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// What is wrong.
    #[source]
    pub refusal: Refusal,
}

impl LoadError {
    /// Whether another attempt may end otherwise, with the same file and configuration: see [`Refusal::is_transient`].
    pub fn is_transient(&self) -> bool {
        self.refusal.is_transient()
    }
}

/// What is wrong with a plugin.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be read. Files are read by the host alone, so no [`Loader`](crate::Loader) says it.
    #[serde(skip)]
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// As the configuration names it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any plugin may be. Nothing of it was read.
    #[error(
        "the file has {bytes} bytes, more than the {bytes_max} allowed: strip it of debug information, or raise component_bytes_max"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The bytes are no WebAssembly, or damaged.
    #[error("not a valid WASM file: {0}; build or copy it again")]
    Malformed(String),
    /// WASM, but no reward plugin.
    #[error("not a reward plugin: {0}")]
    NotAPlugin(String),
    /// It imports something that plugins do not get.
    #[error("it imports {import}, which plugins do not get: {advice}")]
    Import {
        /// The import that must be dropped.
        import: String,
        /// How.
        advice: String,
    },
    /// It was built for another version of the interface.
    #[error(
        "it was built for perennial:reward@{found}, and this program runs {supported}: build it again with the SDK of a version that this program runs, or update this program"
    )]
    Version {
        /// The version that it was built for.
        found: String,
        /// The versions that this program runs.
        supported: String,
    },
    /// The engine does not take it.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// `describe` failed.
    #[error("describe failed: {0}")]
    Describe(String),
    /// The descriptor contradicts itself.
    #[error("its descriptor is wrong: {0}; its author has to mend it")]
    Descriptor(String),
    /// The configuration is larger than allowed.
    #[error(
        "its configuration has {bytes} bytes, more than the {bytes_max} allowed: shorten it, or raise config_bytes_max"
    )]
    ConfigTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The configuration does not pass the plugin's schema.
    #[error("its configuration is refused by its schema: {0}")]
    Config(String),
    /// The file holds more of something than any plugin may.
    #[error(
        "the file has {count} {what}, more than the {max} that a plugin may have: link less into it, or split it into several plugins"
    )]
    TooMany {
        /// In the plural: `functions`, `imports`.
        what: String,
        /// How many, or as many as were counted.
        count: u64,
        /// The limit.
        max: u64,
    },
    /// Loading it took too long.
    #[error("loading it (parsing, compiling, its description, its schema) took more than {seconds_max} s: {advice}")]
    LoadTime {
        /// The limit.
        seconds_max: f64,
        /// The key to raise.
        advice: String,
    },
    /// Loading it took too much memory.
    #[error(
        "loading it (parsing, compiling, its description, its schema) took more than {bytes_max} bytes of memory: {advice}"
    )]
    LoadMemory {
        /// The limit.
        bytes_max: u64,
        /// The key to raise.
        advice: String,
    },
    /// The process that loaded it did not survive it.
    #[error("the process that loads it died of it ({0}): it is damaged or made to do harm; build it again")]
    LoadDied(String),
    /// There is no process to load it in.
    #[error("it cannot be loaded now: {0}")]
    Loader(String),
}

impl Refusal {
    /// Whether another attempt may end otherwise: the machine was at fault, or may have been. A busy machine takes longer to
    /// load the same plugin, so time is such a cause and memory is not.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Read { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
            ),
            Self::LoadTime { .. } | Self::Loader(_) => true,
            _ => false,
        }
    }

    pub(crate) fn of(self, plugin: &str) -> LoadError {
        LoadError { plugin: plugin.to_owned(), refusal: self }
    }
}

/// What the parser says of bytes that are no WASM.
pub(crate) fn malformed(error: wasmparser::BinaryReaderError) -> Refusal {
    Refusal::Malformed(format!("{} at byte {}", error.message(), error.offset()))
}

use std::path::PathBuf;

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
        /// The option.
        option: &'static str,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The compile cache cannot be used.
    #[error("the cache of compiled plugins, {path}: {problem}", path = path.display())]
    Cache {
        /// The folder or file.
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

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
        advice: &'static str,
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
}

impl Refusal {
    pub(crate) fn of(self, plugin: &str) -> LoadError {
        LoadError { plugin: plugin.to_owned(), refusal: self }
    }
}

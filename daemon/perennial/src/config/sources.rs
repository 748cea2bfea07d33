use std::path::PathBuf;

/// What the configuration is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// `--config FILE`.
    pub(crate) file: Option<PathBuf>,
    /// `--set KEY=VALUE`, in order.
    pub(crate) set: Vec<String>,
    /// `--state DIR`.
    pub(crate) state: Option<PathBuf>,
    /// The environment's variables.
    pub(crate) environment: Vec<(String, String)>,
}

use std::{path::PathBuf, sync::Arc};

use crate::{Exporter, Publisher};

/// What the keys of a kind can do: each kind's configuration stands in its own file.
pub trait Settings {
    /// The target's name, in `perennial status` and as a label of metrics.
    fn name(&self) -> &str;

    /// What makes no sense by itself, by its key.
    fn faults(&self) -> Vec<Fault>;

    /// The keys that are paths: relative ones go from the folder of the configuration file.
    fn paths(&mut self) -> Vec<PathKey<'_>>;

    /// The target.
    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher>;
}

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name within the target's table.
    pub key: &'static str,
    /// What is wrong and what to write instead.
    pub problem: String,
}

/// A key that holds a path: whoever reads the configuration takes a relative one from the configuration's folder.
#[derive(Debug)]
pub struct PathKey<'a> {
    /// Its name within the target's table.
    pub key: &'static str,
    /// Its value, a path that is made absolute in place.
    pub path: &'a mut Option<PathBuf>,
    /// Whether the path is a secret's, which systemd may hand over in its place.
    pub is_secret: bool,
}

/// What every target may need of the program around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The folders of all adapters.
    pub adapters: PathBuf,
    /// The state directory's folder for production to read.
    pub export: PathBuf,
    /// Who writes adapters in other forms than PEFT's.
    pub exporter: Arc<dyn Exporter>,
    /// For what only exists as async code. Publishers are called on plain threads, where `block_on` is allowed.
    pub runtime: tokio::runtime::Handle,
}

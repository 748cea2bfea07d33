use serde::{Deserialize, Serialize};

use crate::{Descriptor, HostOptions, Inspection, PluginOptions, Refusal};

/// Does with a plugin's bytes what takes as much time and memory as their author decides: parsing, compiling, asking it to
/// describe itself, and holding its configuration to its schema.
///
/// A host without one does so itself. The program gives it one that works in a process of its own, which can be limited and
/// killed as no thread can: see [`Ordered`](crate::Ordered).
pub trait Loader: Send + Sync {
    /// Carries out a job.
    ///
    /// # Errors
    /// What stands against the plugin; also that the loader's limits were reached.
    fn load(&self, job: &Job<'_>) -> Result<Loaded, Refusal>;
}

/// What is to be loaded.
#[derive(Debug)]
pub struct Job<'j> {
    /// What is asked for, and under which limits.
    pub order: Order,
    /// The plugin's file.
    pub bytes: &'j [u8],
    /// Its machine code, where an earlier load kept it.
    pub code: Option<&'j [u8]>,
}

/// What a [`Job`] asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// How far to go.
    pub depth: Depth,
    /// The plugin as the operator configured it.
    pub options: PluginOptions,
    /// The limits of its host; a loader has no cache of its own.
    pub limits: HostOptions,
}

/// How far a [`Loader`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// It reads what the file says it is. Nothing is compiled, nothing runs.
    Inspect,
    /// All of it: the plugin can be asked to score afterwards.
    Load,
}

/// What a [`Loader`] gives back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// What the file says it is.
    pub inspection: Inspection,
    /// What the plugin says of itself; `None` at [`Depth::Inspect`].
    pub descriptor: Option<Descriptor>,
    /// Its machine code, where it had to be compiled.
    #[serde(skip)]
    pub code: Option<Vec<u8>>,
}

use perennial_types::Fingerprint;
use serde::{Deserialize, Serialize};

/// What a file says it is, read from its bytes alone: nothing is compiled, nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// What kind of file.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: u64,
    /// The hash of its bytes.
    pub hash: Fingerprint,
    /// The interfaces that it imports, in its order.
    pub imports: Vec<String>,
    /// The functions that it exports, in its order.
    pub exports: Vec<String>,
    /// The version of `perennial:reward` that it was built for.
    pub interface: Option<String>,
}

/// What kind of file a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// As `cargo component`, componentize-py and jco give it.
    Component,
    /// A core module with an embedded component type, as `wasm32-unknown-unknown` gives it.
    CoreModule,
}

//! `kind = "folder"`: a folder on this machine in which the link `current` leads to the champion's folder.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use perennial_types::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::{
    Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    link::{self, Link},
};

/// A link costs nothing to try, and the daemon is not ready while production reads something else than the champion.
const TRIES: Tries =
    Tries { pause_first: Duration::from_secs(10), pause_max: Duration::from_secs(10), attempts_max: None };

/// The keys of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// What it is called.
    pub name: String,
    /// The folder; `export/` in the state directory where it is unset.
    pub path: Option<PathBuf>,
}

impl Default for FolderConfig {
    fn default() -> Self {
        Self { name: "folder".to_owned(), path: None }
    }
}

impl Settings for FolderConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn paths(&mut self) -> Vec<PathKey<'_>> {
        vec![PathKey { key: "path", path: &mut self.path, is_secret: false }]
    }

    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher> {
        let export = self.path.as_ref().unwrap_or(&surroundings.export);
        Box::new(Folder { name: self.name.clone(), link: Link::new(export, &surroundings.adapters) })
    }
}

struct Folder {
    name: String,
    link: Link,
}

impl Publisher for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> Fingerprint {
        Fingerprint::of(self.link.export().as_os_str().as_bytes())
    }

    fn reach(&self) -> Reach {
        Reach::Local
    }

    fn tries(&self) -> Tries {
        TRIES
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        self.link.switch(wish.adapter())
    }

    fn observe(&self, _: &Wish) -> Result<Observed, PublishError> {
        Ok(Observed::Serves(self.link.current()?))
    }

    fn check(&self) -> Result<String, PublishError> {
        self.link.current()?;
        Ok(shown(self.link.export()))
    }
}

fn shown(export: &Path) -> String {
    export.join(link::CURRENT).display().to_string()
}

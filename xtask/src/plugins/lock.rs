use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use perennial_tests::repository;
use serde::{Deserialize, Serialize};

use super::{FOLDER, component_of, plugins, sources};

const FILE: &str = "plugins/plugins.lock";
const HEADER: &str = "# What the committed plugins were built from, and by what. Written by `cargo xtask plugins`.\n\n";

/// What is recorded of the committed components.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    #[serde(default)]
    pub(super) plugins: BTreeMap<String, Locked>,
}

/// One committed component.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    /// blake3 of all that it is built from, as [`sources::hash`] has it.
    pub(super) sources: String,
    /// blake3 of the component's file.
    pub(super) component: String,
    /// What compiled it.
    pub(super) toolchain: String,
}

impl Locked {
    /// The record of a component that was just built.
    pub(super) fn of(folder: &Path, component: &Path, toolchain: &str) -> Result<Self> {
        Ok(Self { sources: sources::hash(folder)?, component: hash_of(component)?, toolchain: toolchain.to_owned() })
    }
}

impl Lock {
    /// The committed lock; an empty one where there is none.
    pub(super) fn read() -> Result<Self> {
        let path = repository().join(FILE);
        if !path.is_file() {
            return Ok(Self::default());
        }
        toml::from_str(&fs::read_to_string(path).context(FILE)?).context(FILE)
    }

    /// Writes the lock.
    pub(super) fn write(&self) -> Result<()> {
        fs::write(repository().join(FILE), format!("{HEADER}{}", toml::to_string(self)?)).context(FILE)
    }

    /// What of the committed components is not as recorded, or recorded from other sources than there are now.
    pub(super) fn differences(&self) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        for plugin in plugins()?.iter().filter(|plugin| plugin.is_committed()) {
            let name = &plugin.name;
            let Some(locked) = self.plugins.get(name) else {
                differences.push(format!("{name}: not in {FILE}"));
                continue;
            };
            let component = component_of(&plugin.folder, name);
            if !component.is_file() {
                differences.push(format!("{name}: {FOLDER}/{name}/{name}.wasm is not there"));
            } else if hash_of(&component)? != locked.component {
                differences.push(format!("{name}: the component is not the recorded one"));
            }
            if sources::hash(&plugin.folder)? != locked.sources {
                differences.push(format!("{name}: its sources changed since it was built"));
            }
        }
        for name in self.plugins.keys().filter(|name| !repository().join(FOLDER).join(name).is_dir()) {
            differences.push(format!("{name}: recorded, but not there"));
        }
        Ok(differences)
    }
}

/// blake3 of a file, in hexadecimal.
pub(super) fn hash_of(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_plugins_are_built_from_their_sources() {
        let differences = Lock::read().unwrap().differences().unwrap();
        assert!(differences.is_empty(), "{}\nbuild them anew: cargo xtask plugins", differences.join("\n"));
    }
}

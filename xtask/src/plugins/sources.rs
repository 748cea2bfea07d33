//! What a plugin's component is built from: its own files, the SDK's, and the versions and settings of all else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use perennial_tests::repository;
use serde::Deserialize;
use toml::{Table, Value};

/// The SDK that plugins in Rust are built on.
const SDK: &str = "sdk/rust";

/// blake3 over names and content of the crate's and the SDK's `src` and `wit`, without tests; the dependencies, settings
/// and profile in the manifests; and the versions of all crates below, without those of tests.
pub(super) fn hash(folder: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let workspace: Value = read_toml(&repository().join("Cargo.toml"))?;
    let setting = |path: &[&str]| {
        let value = path.iter().try_fold(&workspace, |at, key| at.get(key));
        value.map(canonical).unwrap_or_default()
    };
    for path in [&["profile", "plugin"][..], &["profile", "release"], &["workspace", "package"]] {
        feed(&mut hasher, &path.join("."), setting(path).as_bytes());
    }
    let sdk = repository().join(SDK);
    let mut direct = BTreeSet::new();
    for folder in [folder, &sdk] {
        let manifest = Manifest::read(folder)?;
        for (name, value) in &manifest.settings {
            feed(&mut hasher, name, value.as_bytes());
        }
        for name in &manifest.dependencies {
            feed(&mut hasher, name, setting(&["workspace", "dependencies", name]).as_bytes());
        }
        direct.extend(manifest.dependencies);
        for file in [files(&folder.join("src"))?, files(&folder.join("wit"))?].concat() {
            let name = file.strip_prefix(repository()).unwrap_or(&file).display().to_string();
            feed(&mut hasher, &name, &fs::read(&file).with_context(|| name.clone())?);
        }
    }
    for package in Packages::read()?.below(direct) {
        feed(&mut hasher, "package", package.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// A value as text that does not depend on the order of keys, which another crate's features may change.
fn canonical(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let sorted: BTreeMap<&String, String> = table.iter().map(|(key, value)| (key, canonical(value))).collect();
            format!("{sorted:?}")
        }
        Value::Array(values) => format!("{:?}", values.iter().map(canonical).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

// Lengths before contents, so that no two lists of names and contents feed the same bytes.
fn feed(hasher: &mut blake3::Hasher, name: &str, content: &[u8]) {
    for bytes in [name.as_bytes(), content] {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
}

fn read_toml<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// All files below a folder, by path; none where it is not there.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(self::files(&path)?) } else { files.push(path) }
    }
    files.sort();
    Ok(files)
}

/// What of a crate's `Cargo.toml` a build for the sandbox depends on.
struct Manifest {
    /// The sections that count, as text.
    settings: Vec<(String, String)>,
    /// The names of its dependencies, without those of tests.
    dependencies: BTreeSet<String>,
}

impl Manifest {
    fn read(folder: &Path) -> Result<Self> {
        let manifest: Table = read_toml(&folder.join("Cargo.toml"))?;
        let sections = ["package", "lib", "features", "dependencies", "build-dependencies", "target"];
        let settings = sections.iter().filter_map(|name| Some(((*name).to_owned(), canonical(manifest.get(*name)?))));
        let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let own = [manifest.get("dependencies"), manifest.get("build-dependencies")].into_iter().flatten();
        let dependencies = own.chain(targets.filter_map(|target| target.get("dependencies")));
        let names = dependencies.filter_map(Value::as_table).flat_map(Table::keys).cloned().collect();
        Ok(Self { settings: settings.collect(), dependencies: names })
    }
}

/// The packages of `Cargo.lock`, by name.
struct Packages(BTreeMap<String, Vec<Package>>);

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Packages {
    fn read() -> Result<Self> {
        #[derive(Deserialize)]
        struct CargoLock {
            package: Vec<Package>,
        }
        let lock: CargoLock = read_toml(&repository().join("Cargo.lock"))?;
        let mut packages: BTreeMap<String, Vec<Package>> = BTreeMap::new();
        for package in lock.package {
            packages.entry(package.name.clone()).or_default().push(package);
        }
        Ok(Self(packages))
    }

    /// Names, versions and checksums of these packages and all below them. The lock lists a registry's packages without
    /// what their tests need, and the workspace's own with it, so those are not followed.
    fn below(&self, names: BTreeSet<String>) -> BTreeSet<String> {
        let mut below = BTreeSet::new();
        let mut open: Vec<String> = names.into_iter().collect();
        while let Some(dependency) = open.pop() {
            for package in self.matching(&dependency) {
                let Some(checksum) = &package.checksum else { continue };
                if below.insert(format!("{} {} {checksum}", package.name, package.version)) {
                    open.extend(package.dependencies.iter().cloned());
                }
            }
        }
        below
    }

    // `name`, or `name version` where there are several.
    fn matching(&self, dependency: &str) -> impl Iterator<Item = &Package> {
        let mut words = dependency.split(' ');
        let candidates = words.next().and_then(|name| self.0.get(name)).into_iter().flatten();
        let version = words.next().map(str::to_owned);
        candidates.filter(move |package| version.as_ref().is_none_or(|version| *version == package.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_keys_does_not_matter() {
        let parse = |text: &str| canonical(&toml::from_str::<Value>(text).unwrap());
        assert_eq!(parse("a = 1\nb = [{ c = true, d = 'x' }]"), parse("b = [{ d = 'x', c = true }]\na = 1"));
        assert_ne!(parse("a = 1"), parse("a = 2"));
    }

    #[test]
    fn packages_below_are_followed_and_tests_are_not() {
        let below = Packages::read().unwrap().below(BTreeSet::from(["serde_json".to_owned()]));
        assert!(below.iter().any(|package| package.starts_with("itoa ")));
        assert!(!below.iter().any(|package| package.starts_with("proptest ")));
    }

    #[test]
    fn manifests_are_read_without_what_tests_need() {
        let manifest = Manifest::read(&repository().join(SDK)).unwrap();
        assert!(manifest.dependencies.contains("wit-bindgen"));
        assert!(!manifest.dependencies.contains("proptest"));
    }
}

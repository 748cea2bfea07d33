//! What `perennial plugin new` writes: this program carries the SDKs and the templates, for nothing of them is published.

/// A file that this program carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Where it belongs, from the folder it is written to.
    pub(super) path: &'static str,
    /// What is in it.
    pub(super) text: &'static str,
}

macro_rules! sources {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(Source { path: $path, text: include_str!(concat!("../../../../../sdk/", $folder, "/", $path)) }),+]
    };
}

pub(super) const RUST_SDK: &[Source] = sources!["rust":
    "Cargo.toml",
    "README.md",
    "src/descriptor.rs",
    "src/export.rs",
    "src/fault.rs",
    "src/guest.rs",
    "src/level.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/reward.rs",
    "src/task.rs",
    "src/testing/cases.rs",
    "src/testing/contract.rs",
    "src/testing/mod.rs",
    "src/testing/task.rs",
    "src/text/extract.rs",
    "src/text/mod.rs",
    "src/text/ngrams.rs",
    "src/text/normalize.rs",
    "src/verdict.rs",
    "wit/reward.wit",
];

pub(super) const PYTHON_SDK: &[Source] = sources!["python":
    "README.md",
    "perennial_component.py",
    "perennial_reward/__init__.py",
    "perennial_reward/cases.py",
    "perennial_reward/component.py",
    "perennial_reward/declaration.py",
    "perennial_reward/nesting.py",
    "perennial_reward/plugin.py",
    "perennial_reward/py.typed",
    "perennial_reward/settings.py",
    "perennial_reward/task.py",
    "perennial_reward/verdict.py",
    "wit/reward.wit",
];

/// The SDK for JavaScript and TypeScript.
pub(super) const JS_SDK: &[Source] = sources!["js":
    "README.md",
    "cases.d.ts",
    "cases.js",
    "component.js",
    "lib/declaration.js",
    "lib/errors.js",
    "lib/verdict.js",
    "package.json",
    "reward.d.ts",
    "reward.js",
    "wit/reward.wit",
];

/// What builds plugins in JavaScript, installed into the cache.
pub(super) const JS_TOOLCHAIN: &[Source] = sources!["js/toolchain": "build.js", "package.json"];

/// A project in Rust.
pub(super) const RUST_TEMPLATE: &[Source] =
    sources!["templates/rust": "Cargo.toml", "README.md", "gitignore", "src/lib.rs"];

/// A project in Python.
pub(super) const PYTHON_TEMPLATE: &[Source] =
    sources!["templates/python": "README.md", "gitignore", "plugin.py", "test_plugin.py"];

/// A project in JavaScript.
pub(super) const JS_TEMPLATE: &[Source] =
    sources!["templates/js": "README.md", "gitignore", "package.json", "plugin.js", "plugin.test.js"];

/// The cases of every template.
pub(super) const CASES: &[Source] = sources!["templates/cases": "example.json", "no-reference.json"];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// What lies beside the SDKs and does not go into projects.
    const LEFT_OUT: [&str; 6] = ["tests", "toolchain", "pyproject.toml", "__pycache__", "node_modules", "target"];

    fn files(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder.join(below)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            if folder.join(&path).is_dir() {
                files(folder, &path, found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_sdks_and_templates_is_carried() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk");
        let carried = [
            ("rust", RUST_SDK),
            ("python", PYTHON_SDK),
            ("js", JS_SDK),
            ("js/toolchain", JS_TOOLCHAIN),
            ("templates/rust", RUST_TEMPLATE),
            ("templates/python", PYTHON_TEMPLATE),
            ("templates/js", JS_TEMPLATE),
            ("templates/cases", CASES),
        ];
        for (folder, sources) in carried {
            let mut there = BTreeSet::new();
            files(&sdk.join(folder), "", &mut there);
            let listed: BTreeSet<String> = sources.iter().map(|source| source.path.to_owned()).collect();
            assert_eq!(listed, there, "sdk/{folder}");
        }
    }
}

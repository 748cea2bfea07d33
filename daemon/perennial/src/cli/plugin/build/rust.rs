use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use super::{super::project::Project, cache::Cache, wasm32::TARGET, wasm32::Wasm32};

const CARGO_MISSING: &str = "install Rust with rustup, or by `apt-get install cargo`";

/// The component of a Rust project. Cargo knows what changed, so nothing is kept beside its own target folder.
pub(super) fn build(project: &Project, cache: &Cache) -> anyhow::Result<Vec<u8>> {
    let mut cargo = Wasm32::find(cache)?.cargo()?;
    cargo.args(["build", "--profile", "plugin", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(&project.entry).stderr(Stdio::inherit());
    let output = match cargo.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("cargo is not installed: {CARGO_MISSING}"),
        output => output.context("cargo")?,
    };
    ensure!(output.status.success(), "cargo could not build {}", project.dir.display());
    let module = module(&String::from_utf8_lossy(&output.stdout), &project.entry)?;
    let bytes = fs::read(&module).with_context(|| module.display().to_string())?;
    let encoded = ComponentEncoder::default().validate(true).module(&bytes).and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| anyhow!("{error:#}: does the crate call `perennial_reward_sdk::export!`?"))
}

/// What cargo says of something it made.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module that cargo made of this manifest's crate.
fn module(messages: &str, manifest: &Path) -> anyhow::Result<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let own = artifacts.filter(|artifact| {
        artifact.reason == "compiler-artifact" && artifact.manifest_path.as_deref() == Some(manifest)
    });
    let mut files = own.flat_map(|artifact| artifact.filenames);
    files.find(|file| file.extension().is_some_and(|extension| extension == "wasm")).with_context(|| {
        format!("{} makes no WASM module: its [lib] needs crate-type = [\"cdylib\", \"rlib\"]", manifest.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_is_the_one_of_the_projects_own_crate() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/v/Cargo.toml","filenames":["/t/sdk.wasm"]}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/libmine.rlib","/t/mine.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(module(messages, Path::new("/p/Cargo.toml")).unwrap(), Path::new("/t/mine.wasm"));
        let error = module(messages, Path::new("/q/Cargo.toml")).unwrap_err();
        assert!(error.to_string().contains("cdylib"), "{error}");
    }
}

use crate::{Inspection, Refusal, Wasi, wasi};

/// The versions of the interface that this program runs, newest first.
pub const INTERFACE_VERSIONS: [&str; 1] = ["0.1.0"];

const PACKAGE: &str = "perennial:reward/";

/// The version in `perennial:reward/types@VERSION`. Every plugin imports `types`, for its exports speak of them.
pub(crate) fn interface_version(imports: &[String]) -> Option<String> {
    let names = imports.iter().filter_map(|import| import.strip_prefix(PACKAGE));
    names.filter_map(|name| name.split_once('@')).map(|(_, version)| version.to_owned()).next()
}

impl Inspection {
    /// Whether the host would run it, judged by its imports, its exports and its interface version.
    ///
    /// # Errors
    /// The first thing that stands against it.
    pub fn judge(&self, wasi: Wasi) -> Result<(), Refusal> {
        judge(self, wasi)
    }
}

fn judge(inspection: &Inspection, wasi: Wasi) -> Result<(), Refusal> {
    for import in &inspection.imports {
        judge_import(import, wasi)?;
    }
    if inspection.interface.is_none() {
        return Err(Refusal::NotAPlugin(
            "it does not use the interface perennial:reward: build it with a plugin SDK".to_owned(),
        ));
    }
    match ["describe", "score"].into_iter().find(|name| !inspection.exports.iter().any(|export| export == name)) {
        Some(missing) => {
            Err(Refusal::NotAPlugin(format!("it does not export `{missing}`: build it with a plugin SDK")))
        }
        None => Ok(()),
    }
}

fn judge_import(import: &str, wasi: Wasi) -> Result<(), Refusal> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if let Some(name) = interface.strip_prefix(PACKAGE) {
        if !INTERFACE_VERSIONS.contains(&version) {
            return Err(Refusal::Version { found: version.to_owned(), supported: INTERFACE_VERSIONS.join(" and ") });
        }
        if matches!(name, "types" | "log") {
            return Ok(());
        }
    }
    if wasi == Wasi::Stubbed && wasi::is_stubbed(import) {
        return Ok(());
    }
    Err(Refusal::Import { import: import.to_owned(), advice: advice(import).to_owned() })
}

/// A core module's imports: those of the interface, and what the component encoder itself resolves.
pub(crate) fn judge_core(module: &str) -> Result<(), Refusal> {
    if module.starts_with(PACKAGE) || module.starts_with("[export]") || module == "$root" {
        return Ok(());
    }
    Err(Refusal::Import { import: module.to_owned(), advice: advice(module).to_owned() })
}

fn advice(import: &str) -> &'static str {
    if import.starts_with("wasi_snapshot_preview1") {
        return "there are no files, clocks or networks in the sandbox; build it for wasm32-unknown-unknown";
    }
    if wasi::is_stubbed(import) {
        return "build it without WASI (componentize-py with --stub-wasi, componentize-js with random, stdio, clocks and \
                http disabled), or set wasi = \"stubbed\" for deterministic stand-ins without files";
    }
    if import.starts_with("wasi:") {
        return "there is no such thing in the sandbox; build it without WASI (componentize-py with --stub-wasi, \
                componentize-js with random, stdio, clocks and http disabled)";
    }
    if import == "env" {
        return "it is not linked completely; build it with a plugin SDK";
    }
    "only perennial:reward/types and perennial:reward/log can be imported"
}

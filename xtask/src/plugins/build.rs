use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use perennial_tests::{Program, repository};

use crate::{output, shell::from_root};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds a plugin's component into a file.
pub(super) fn component(program: &Program, folder: &Path, component: &Path) -> Result<()> {
    let arguments = ["plugin", "build", &folder.to_string_lossy(), "--out", &component.to_string_lossy()];
    let mut command = program.command(&arguments);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", remapped()?);
    run(command)
}

/// Shows a command, runs it, and waits for its end.
pub(super) fn run(mut command: Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = from_root(words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "));
    output::note(format!("$ {line}"));
    let status = command.status().with_context(|| format!("starting: {line}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// The compiler that plugins are built with, by which alone bytes can be compared: rustc's version where it has the
/// target, else Debian's packages.
pub(super) fn toolchain() -> Result<String> {
    let libraries = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    if Path::new(&libraries).is_dir() { rustc(&["--version"]) } else { Ok("Debian's rustc-web".to_owned()) }
}

// Panic messages name files: without this machine's folders, the same source gives the same bytes everywhere. Of several
// that match, the last one counts.
fn remapped() -> Result<String> {
    let home = env::var("HOME").context("HOME is not set")?;
    let cargo = env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let sysroot = rustc(&["--print", "sysroot"])?;
    let repository = repository().display().to_string();
    let folders = [(home, "/home"), (cargo, "/cargo"), (sysroot, "/rust"), (repository, "/perennial")];
    Ok(folders.map(|(folder, name)| format!("--remap-path-prefix={folder}={name}")).join(" "))
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(arguments).output().context("rustc: install Rust with rustup")?;
    ensure!(output.status.success(), "rustc {}: {}", arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

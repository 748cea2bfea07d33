//! A standard library for `wasm32-unknown-unknown`: rustup's, or, where rustup's servers are out of reach, one that is
//! compiled from Debian's packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{super::super::output, cache::Cache, program::run};

/// The target that plugins are compiled for: it has no system interface at all.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

const RUST_MISSING: &str = "install Rust with rustup, or by `apt-get install cargo`";
const RUSTUP: &str = "`rustup target add wasm32-unknown-unknown`";

/// How to compile for [`TARGET`] here.
#[derive(Debug)]
pub(super) enum Wasm32 {
    /// The toolchain in use has the target.
    Installed,
    /// Debian's packages, unpacked into this folder.
    Debian(PathBuf),
}

impl Wasm32 {
    /// The way that is there, or can be had.
    pub(super) fn find(cache: &Cache) -> anyhow::Result<Self> {
        let libraries =
            run(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]), RUST_MISSING)?;
        if Path::new(libraries.trim()).is_dir() {
            return Ok(Self::Installed);
        }
        if run(Command::new("apt-get").arg("--version"), RUSTUP).is_err() {
            bail!("Rust has no {TARGET} here: run {RUSTUP}");
        }
        let folder = cache.toolchain("rust-wasm32-debian", |folder| {
            output::note(format_args!(
                "Rust has no {TARGET} here: unpacking Debian's into the cache, once (140 MB; {RUSTUP} is quicker)"
            ));
            unpack(folder).with_context(|| format!("Debian's {TARGET} cannot be had: run {RUSTUP}"))
        })?;
        Ok(Self::Debian(folder))
    }

    /// A cargo that can compile for [`TARGET`].
    pub(super) fn cargo(&self) -> anyhow::Result<Command> {
        let mut cargo = Command::new("cargo");
        let Self::Debian(folder) = self else { return Ok(cargo) };
        let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]), RUST_MISSING)?;
        let host = run(Command::new("rustc").args(["--print", "host-tuple"]), RUST_MISSING)?;
        let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
        let usr = folder.join("usr");
        // Another compiler, so a target folder of its own; it is asked to compile std, which only a nightly may otherwise.
        cargo.env("RUSTC", usr.join("bin/rustc")).env("RUSTC_BOOTSTRAP", "1");
        cargo.env("LD_LIBRARY_PATH", libraries(&usr)?).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        cargo.env("CARGO_TARGET_DIR", folder.join("target")).arg("-Zbuild-std=std,panic_abort");
        Ok(cargo)
    }
}

/// `usr/lib/x86_64-linux-gnu`, or what it is called on this architecture.
fn libraries(usr: &Path) -> anyhow::Result<PathBuf> {
    let lib = usr.join("lib");
    let entries = fs::read_dir(&lib).with_context(|| lib.display().to_string())?;
    let mut folders = entries.filter_map(Result::ok).map(|entry| entry.path());
    folders
        .find(|folder| folder.to_string_lossy().ends_with("-linux-gnu"))
        .context("Debian's packages have no libraries")
}

/// Downloads the packages and unpacks them, which needs no root and leaves the system as it is.
fn unpack(folder: &Path) -> anyhow::Result<()> {
    let std = dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = dependency(&std, "libllvm")?;
    let packages = ["rustc-web", "libstd-rust-web-dev", "rust-web-src", &std, &llvm];
    let debs = folder.join("debs");
    fs::create_dir_all(&debs)?;
    run(Command::new("apt-get").arg("download").args(packages).current_dir(&debs), RUSTUP)
        .context("the packages' lists may be old: `apt-get update`")?;
    for deb in fs::read_dir(&debs)? {
        run(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(folder), RUSTUP)?;
    }
    Ok(fs::remove_dir_all(&debs)?)
}

/// The package whose name, with its version in it, begins like this among what another one depends on.
fn dependency(package: &str, prefix: &str) -> anyhow::Result<String> {
    let depends = run(Command::new("apt-cache").args(["depends", package]), RUSTUP)?;
    let mut names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let numbered =
        |name: &&str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    names
        .find(numbered)
        .map(str::to_owned)
        .with_context(|| format!("{package} depends on no {prefix}*: `apt-get update`"))
}

//! The reward plugins that ship: built from source, and what is committed held to its source.

mod build;
mod lock;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use perennial_tests::{Program, repository};

use self::lock::{Lock, Locked};
use crate::{output, shell::Shell};

/// The folder of the plugins, one folder each.
const FOLDER: &str = "plugins";

/// What to do with the plugins.
#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing: fail where a committed component is not what its source gives
    #[arg(long)]
    check: bool,
    /// Only these plugins, by their folders' names
    names: Vec<String>,
}

/// Builds the plugins with `perennial plugin build`, runs their cases in the sandbox, and records the components of those
/// in Rust in `plugins/plugins.lock`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return check(options);
    }
    output::note("Installs nothing on the system; toolchains that are missing go to the user's cache folder.");
    let program = program()?;
    let mut lock = Lock::read()?;
    let toolchain = build::toolchain()?;
    for plugin in chosen(options)? {
        let component = plugin.component();
        build::component(&program, &plugin.folder, &component)?;
        test(&program, &plugin)?;
        if plugin.is_committed() {
            lock.plugins.insert(plugin.name.clone(), Locked::of(&plugin.folder, &component, &toolchain)?);
        }
    }
    lock.plugins.retain(|name, _| repository().join(FOLDER).join(name).is_dir());
    lock.write()
}

// What is committed against its cases, against its source by its hashes and, with the toolchain that built it, against what
// its source gives.
fn check(options: &Options) -> Result<()> {
    output::note("Changes nothing: the plugins are built below the target folder.");
    let lock = Lock::read()?;
    let mut differences = lock.differences()?;
    let toolchain = build::toolchain()?;
    let program = program()?;
    let scratch = repository().join("target/plugins");
    fs::create_dir_all(&scratch)?;
    for plugin in chosen(options)? {
        let Some(locked) = lock.plugins.get(&plugin.name) else { continue };
        test(&program, &plugin)?;
        if locked.toolchain != toolchain {
            output::note(format!(
                "{}: built by {}, here is {toolchain}: not built anew",
                plugin.name, locked.toolchain
            ));
            continue;
        }
        let component = scratch.join(format!("{}.wasm", plugin.name));
        build::component(&program, &plugin.folder, &component)?;
        if lock::hash_of(&component)? != locked.component {
            differences
                .push(format!("{}: building its source gives another component than the committed one", plugin.name));
        }
    }
    if differences.is_empty() {
        output::result("The committed plugins are what their sources give.");
        return Ok(());
    }
    bail!("{}\nbuild them anew: cargo xtask plugins", differences.join("\n"))
}

// Holds the component in a plugin's folder to its cases, in the sandbox.
fn test(program: &Program, plugin: &Plugin) -> Result<()> {
    build::run(program.command(&["plugin", "test", &plugin.folder.to_string_lossy()]))
}

/// A plugin's folder.
struct Plugin {
    name: String,
    folder: PathBuf,
}

impl Plugin {
    fn component(&self) -> PathBuf {
        component_of(&self.folder, &self.name)
    }

    /// Components in Rust are small and committed; those in Python and JavaScript carry an interpreter of many megabytes.
    fn is_committed(&self) -> bool {
        self.folder.join("Cargo.toml").is_file()
    }
}

fn component_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}

/// All plugins, by name.
fn plugins() -> Result<Vec<Plugin>> {
    let entries = fs::read_dir(repository().join(FOLDER)).context(FOLDER)?;
    let folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let named = |folder: PathBuf| Some(Plugin { name: folder.file_name()?.to_str()?.to_owned(), folder });
    let mut plugins: Vec<Plugin> = folders.into_iter().filter(|folder| folder.is_dir()).filter_map(named).collect();
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plugins)
}

fn chosen(options: &Options) -> Result<Vec<Plugin>> {
    let mut plugins = plugins()?;
    if let Some(unknown) = options.names.iter().find(|name| !plugins.iter().any(|plugin| plugin.name == **name)) {
        bail!("there is no plugin {unknown} in {FOLDER}/");
    }
    plugins.retain(|plugin| options.names.is_empty() || options.names.contains(&plugin.name));
    Ok(plugins)
}

fn program() -> Result<Program> {
    Shell::cargo().args(["build", "--workspace"]).run()?;
    let state = repository().join("target/plugins/state");
    Program::new(&repository().join("config/perennial.toml"), &state)
}

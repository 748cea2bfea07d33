use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{
    super::{super::output, project::Project},
    cache::{Cache, sources},
    program::run,
};

/// What makes components of Python, with an interpreter of its own for them.
const COMPONENTIZE: &str = "componentize-py==0.25.0";
const PYTHON_MISSING: &str = "install it, say by `apt-get install python3 python3-venv`";

/// The component of a Python project, from the cache where nothing changed.
pub(super) fn build(project: &Project, cache: &Cache) -> anyhow::Result<Vec<u8>> {
    let vendor = project.vendor()?;
    cache.component(sources(&project.dir, COMPONENTIZE)?, |out| {
        let toolchain = toolchain(cache)?;
        output::note("building with componentize-py");
        let wit = vendor.join("wit");
        let mut command = Command::new(toolchain.join("bin").join("componentize-py"));
        command.arg("--wit-path").arg(wit).args([
            "--world",
            "reward",
            "componentize",
            "perennial_component",
            "--stub-wasi",
        ]);
        command.arg("--python-path").arg(&project.dir).arg("--python-path").arg(&vendor).arg("--output").arg(out);
        // Otherwise the packages of whatever environment the caller works in come along.
        command.env("VIRTUAL_ENV", &toolchain);
        run(&mut command, PYTHON_MISSING).map(drop)
    })
}

fn toolchain(cache: &Cache) -> anyhow::Result<PathBuf> {
    cache.toolchain(&COMPONENTIZE.replace("==", "-"), |folder| {
        output::note(format_args!("installing {COMPONENTIZE} from PyPI into the cache, once"));
        install(folder).context("the toolchain for Python cannot be installed")
    })
}

fn install(folder: &Path) -> anyhow::Result<()> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder), PYTHON_MISSING)
        .with_context(|| format!("no virtual environment: {PYTHON_MISSING}"))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", COMPONENTIZE];
    run(Command::new(folder.join("bin").join("python3")).args(pip), PYTHON_MISSING).map(drop)
}

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{
    super::{super::output, project::Project},
    cache::{Cache, sources},
    program::{run, run_explained},
};

/// What makes components of Python, with an interpreter of its own for them.
const COMPONENTIZE: &str = "componentize-py==0.25.0";
const BUILDERS_EXCEPTION: &str = "AssertionError: Traceback (most recent call last):\n";
const MODULE_HINT: &str = "\nA plugin has Python's standard library and the files beside plugin.py. Packages of pure Python can be copied there; \
                           those with machine code (numpy, torch) do not run in the sandbox.";
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
        run_explained(&mut command, PYTHON_MISSING, |said| pythons_own_words(said, &project.dir)).map(drop)
    })
}

/// The error of the plugin's own module, as Python tells it, out of all that its builder says around it: from the builder's
/// exception to what that was caused by. The builder calls the project's folder `/0`.
fn pythons_own_words(said: &str, dir: &Path) -> Option<String> {
    let (_, from_builder) = said.split_once(BUILDERS_EXCEPTION)?;
    let error = from_builder.split("\n\nCaused by:").next()?.trim_end();
    // Up to the plugin's file it is the way there.
    let (_, error) = error.split_once("  File \"/0/")?;
    let dir = dir.join("").display().to_string();
    let error = format!("  File \"{dir}{}", error.replace("\"/0/", &format!("\"{dir}")));
    let hint = if error.contains("ModuleNotFoundError") { MODULE_HINT } else { "" };
    Some(format!("the plugin is no Python that can be run:\n{error}{hint}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Traceback (most recent call last):
  File \"/cache/bin/componentize-py\", line 8, in <module>
    sys.exit(script())
AssertionError: Traceback (most recent call last):
  File \"/1/perennial_component.py\", line 8, in <module>
    import plugin
  File \"/0/plugin.py\", line 1, in <module>
    import helper
  File \"/0/helper.py\", line 3, in <module>
    import numpy
ModuleNotFoundError: No module named 'numpy'


Caused by:
    ModuleNotFoundError: No module named 'numpy'

Stack backtrace:
   0: anyhow::error";

    #[test]
    fn what_python_says_of_the_plugin_is_told_and_nothing_else() {
        let told = pythons_own_words(SAID, Path::new("mine")).unwrap();
        let (error, hint) = told.split_once(MODULE_HINT).unwrap();
        assert_eq!(
            error,
            "the plugin is no Python that can be run:
  File \"mine/plugin.py\", line 1, in <module>
    import helper
  File \"mine/helper.py\", line 3, in <module>
    import numpy
ModuleNotFoundError: No module named 'numpy'"
        );
        assert_eq!(hint, "");
        assert_eq!(pythons_own_words("no such option", Path::new("mine")), None);
    }
}

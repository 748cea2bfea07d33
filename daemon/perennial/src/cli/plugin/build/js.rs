use std::{path::PathBuf, process::Command};

use anyhow::Context as _;
use perennial_types::Fingerprinter;

use super::{
    super::{super::output, new::write_all, project::Project, sources::JS_TOOLCHAIN},
    cache::{Cache, sources},
    program::run,
};

const NODE_MISSING: &str = "install it, say by `apt-get install nodejs npm`; version 20 or later is needed";

/// The component of a JavaScript or TypeScript project, from the cache where nothing changed.
pub(super) fn build(project: &Project, cache: &Cache) -> anyhow::Result<Vec<u8>> {
    let vendor = project.vendor()?;
    let version = version();
    cache.component(sources(&project.dir, &version)?, |out| {
        let toolchain = toolchain(cache, &version)?;
        output::note("building with componentize-js");
        let mut command = Command::new("node");
        command.arg(toolchain.join("build.js")).arg(&project.entry);
        command.arg(vendor.join("component.js")).arg(vendor.join("wit")).arg(out);
        run(&mut command, NODE_MISSING).map(drop)
    })
}

/// Of the toolchain: its files pin it.
fn version() -> String {
    let mut fingerprinter = Fingerprinter::new();
    for source in JS_TOOLCHAIN {
        fingerprinter.add(source.path.as_bytes());
        fingerprinter.add(source.text.as_bytes());
    }
    format!("componentize-js-{}", fingerprinter.finish().short(12))
}

fn toolchain(cache: &Cache, version: &str) -> anyhow::Result<PathBuf> {
    cache.toolchain(version, |folder| {
        output::note("installing componentize-js from npm into the cache, once");
        write_all(JS_TOOLCHAIN, folder)?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel",
            "error",
        ]);
        npm.current_dir(folder);
        run(&mut npm, NODE_MISSING).context("the toolchain for JavaScript cannot be installed").map(drop)
    })
}

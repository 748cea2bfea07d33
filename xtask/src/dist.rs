use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use perennial_tests::repository;

use crate::{
    output,
    shell::{Shell, from_root, target_folder},
};

/// The tools that pack, each with its version, so that the same sources give the same packages.
const TOOLS: [(&str, &str); 2] = [("cargo-deb", "3.6.3"), ("cargo-cyclonedx", "0.5.7")];

/// Where the packages go.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the packages
    #[arg(long, value_name = "DIR", default_value = "target/packages")]
    out: PathBuf,
}

/// Builds the program as `cargo xtask install` does and packs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note(
        "Builds the program as it is for use, half an hour on two cores where that was not done before. Installs cargo-deb and \
         cargo-cyclonedx into target/tools. All that is shipped goes to target/packages, or to --out.",
    );
    let out = repository().join(&options.out);
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    for (name, version) in TOOLS {
        install(name, version)?;
    }
    Shell::cargo().args(["build", "--locked", "--profile", "dist", "--package", "perennial"]).run()?;
    let program = target_folder()?.join("dist/perennial");
    write_manuals(&program)?;
    let package = pack_deb(&out)?;
    let archive = pack_archive(&program, &out)?;
    let materials = list_materials(&out)?;
    write_checksums(&out, &[package, archive, materials])
}

fn install(name: &str, version: &str) -> Result<()> {
    if tool(name)?.is_file() {
        return Ok(());
    }
    let root = target_folder()?.join("tools");
    Shell::cargo().args(["install", "--locked", "--root", &root.to_string_lossy(), &format!("{name}@{version}")]).run()
}

/// Manual pages and completions, as the program writes them itself.
fn write_manuals(program: &Path) -> Result<()> {
    let folder = repository().join("target/dist-files");
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).with_context(|| format!("making {}", completions.display()))?;
    Shell::new(program).args(["man", &folder.join("man").to_string_lossy()]).run()?;
    for (shell, file) in [("bash", "perennial.bash"), ("zsh", "_perennial"), ("fish", "perennial.fish")] {
        let script = Shell::new(program).args(["completions", shell]).text()?;
        let path = completions.join(file);
        fs::write(&path, script + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn pack_deb(out: &Path) -> Result<PathBuf> {
    let printed = Shell::new(tool("cargo-deb")?)
        .args(["deb", "--locked", "--no-build", "--profile", "dist", "--package", "perennial"])
        .args(["--output", &out.to_string_lossy()])
        .text()?;
    let path = printed.lines().last().map(PathBuf::from).context("cargo-deb names no package")?;
    ensure!(path.is_file(), "cargo-deb names {}, which is not there", path.display());
    Ok(path)
}

/// What needs no package manager: the program, its plugins, configuration and units.
fn pack_archive(program: &Path, out: &Path) -> Result<PathBuf> {
    let name = format!("perennial-{}-{}-linux", env!("CARGO_PKG_VERSION"), env::consts::ARCH);
    let path = out.join(format!("{name}.tar.gz"));
    let folder = program.parent().context("the program lies in a folder")?;
    let plugins = plugins()?;
    // In one order, of one owner and one time: the same sources give the same archive.
    Shell::new("tar")
        .args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"])
        .args([&format!("--transform=s,^,{name}/,"), "--file", &path.to_string_lossy()])
        .args(["--directory", &repository().to_string_lossy()])
        .args(["LICENSE", "README.md", "CHANGELOG.md", "METRICS.md", "config/perennial.toml", "config/monitoring"])
        .args(["docs/runbooks", "systemd"])
        .args(plugins)
        .args(["--directory", &folder.to_string_lossy(), "perennial"])
        .run()?;
    Ok(path)
}

fn plugins() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in fs::read_dir(repository().join("plugins")).context("listing plugins/")? {
        let folder = folder.context("listing plugins/")?.file_name().to_string_lossy().into_owned();
        let path = format!("plugins/{folder}/{folder}.wasm");
        if repository().join(&path).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The bill of materials: every crate that the program is made of, with version, licence and checksum.
fn list_materials(out: &Path) -> Result<PathBuf> {
    Shell::new(tool("cargo-cyclonedx")?)
        .args(["cyclonedx", "--format", "json", "--manifest-path", "daemon/perennial/Cargo.toml"])
        .args(["--override-filename", "perennial.cdx"])
        .run()?;
    let written = repository().join("daemon/perennial/perennial.cdx.json");
    let path = out.join("perennial.cdx.json");
    fs::rename(&written, &path).with_context(|| format!("moving {}", written.display()))?;
    Ok(path)
}

fn write_checksums(out: &Path, files: &[PathBuf]) -> Result<()> {
    let names: Vec<String> =
        files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
    let mut sha256sum = Shell::new("sha256sum").args(&names).into_command();
    let sums = sha256sum.current_dir(out).output().context("starting sha256sum")?;
    ensure!(sums.status.success(), "sha256sum: {}", sums.status);
    let path = out.join("SHA256SUMS");
    fs::write(&path, &sums.stdout).with_context(|| format!("writing {}", path.display()))?;
    output::note(format!("Shipped, with checksums in {}:", from_root(path.display())));
    for name in names {
        output::note(format!("  {name}"));
    }
    Ok(())
}

fn tool(name: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("tools/bin").join(name))
}

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use perennial_durable::write_durably;
use perennial_types::{Fingerprint, Fingerprinter};

/// Toolchains, and components by the sources that they were built from, in the user's cache folder. Any of it may be
/// removed at any time.
pub(in super::super) struct Cache {
    root: PathBuf,
}

/// Written into a toolchain's folder when all of it is there.
const COMPLETE: &str = ".complete";
/// What no component is built from: outputs, and what the tools keep.
const LEFT_OUT: [&str; 5] = ["cases", "target", "node_modules", "__pycache__", "tests"];

impl Cache {
    /// The cache of the user who builds.
    pub(in super::super) fn open() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user_cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let user_cache = user_cache.context("no folder for toolchains: set XDG_CACHE_HOME or HOME")?;
        Ok(Self { root: user_cache.join("perennial") })
    }

    /// Where compiled plugins are kept.
    pub(in super::super) fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// The folder of a toolchain, installed by `install` into that folder where it is not there yet.
    pub(super) fn toolchain(
        &self,
        name: &str,
        install: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.root.join("toolchains").join(name);
        let _lock = lock(&folder)?;
        if folder.join(COMPLETE).is_file() {
            return Ok(folder);
        }
        // Whatever is there was left half done.
        clear(&folder)?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        install(&folder)?;
        fs::write(folder.join(COMPLETE), "").with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    /// The component of these sources; `build` makes it, to the file it is given, where it is not there yet.
    pub(super) fn component(
        &self,
        sources: Fingerprint,
        build: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<u8>> {
        let file = self.root.join("components").join(format!("{sources}.wasm"));
        let _lock = lock(&file)?;
        if file.is_file() {
            return fs::read(&file).with_context(|| file.display().to_string());
        }
        let unfinished = file.with_extension("unfinished");
        build(&unfinished)?;
        let component = fs::read(&unfinished).with_context(|| unfinished.display().to_string())?;
        write_durably(&file, &component).with_context(|| file.display().to_string())?;
        fs::remove_file(&unfinished).with_context(|| unfinished.display().to_string())?;
        Ok(component)
    }
}

/// Two builds at once must not write the same thing. Released when it is dropped.
fn lock(path: &Path) -> anyhow::Result<File> {
    let name = format!(".{}.lock", path.file_name().unwrap_or_default().to_string_lossy());
    let folder = path.parent().unwrap_or(path);
    let lock = || -> io::Result<File> {
        fs::create_dir_all(folder)?;
        let file = File::create(folder.join(name))?;
        file.lock()?;
        Ok(file)
    };
    lock().with_context(|| path.display().to_string())
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| folder.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Of all that a component is built from: the files of its project, links followed, and the tools.
pub(super) fn sources(dir: &Path, tools: &str) -> anyhow::Result<Fingerprint> {
    let mut fingerprinter = Fingerprinter::new().part(tools.as_bytes());
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> =
            entries.with_context(|| folder.display().to_string())?.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| is_source(path)) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            fingerprinter.add(path.strip_prefix(dir).unwrap_or(&path).as_os_str().as_encoded_bytes());
            fingerprinter.add(&bytes);
        }
    }
    Ok(fingerprinter.finish())
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_component = path.extension().is_some_and(|extension| extension == "wasm");
    !name.starts_with('.') && !is_component && !LEFT_OUT.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { root: folder.path().join("cache") };
        (folder, cache)
    }

    #[test]
    fn toolchain_is_installed_once_and_again_where_it_failed() {
        let (_folder, cache) = cache();
        let failed = cache.toolchain("t", |folder| {
            fs::write(folder.join("half"), "").unwrap();
            bail!("no network");
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        let folder = cache.toolchain("t", |folder| Ok(fs::write(folder.join("whole"), "")?)).unwrap();
        assert!(folder.join("whole").is_file() && !folder.join("half").exists());
        assert_eq!(cache.toolchain("t", |_| bail!("again")).unwrap(), folder);
    }

    #[test]
    fn component_is_built_once_for_its_sources() {
        let (folder, cache) = cache();
        let dir = folder.path().join("project");
        fs::create_dir_all(dir.join("cases")).unwrap();
        fs::write(dir.join("plugin.py"), "1").unwrap();
        let builds = Cell::new(0);
        let build = || {
            let make = |out: &Path| {
                builds.set(builds.get() + 1);
                Ok(fs::write(out, builds.get().to_string())?)
            };
            cache.component(sources(&dir, "tool 1").unwrap(), make).unwrap()
        };
        assert_eq!((build(), build()), (b"1".to_vec(), b"1".to_vec()));
        for untouched in ["cases/a.json", "project.wasm", ".hidden"] {
            fs::write(dir.join(untouched), "x").unwrap();
        }
        assert_eq!(build(), b"1");
        fs::write(dir.join("helper.py"), "").unwrap();
        assert_eq!(build(), b"2");
        assert_ne!(sources(&dir, "tool 1").unwrap(), sources(&dir, "tool 2").unwrap());
    }
}

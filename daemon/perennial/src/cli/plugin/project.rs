use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    /// Rust
    Rust,
    /// Python
    Python,
    /// JavaScript or TypeScript
    Js,
}

impl Lang {
    /// The files that a project of this language is told by.
    fn entries(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["Cargo.toml"],
            Self::Python => &["plugin.py"],
            Self::Js => &["plugin.js", "plugin.ts"],
        }
    }
}

/// A folder with the sources of a plugin.
#[derive(Debug)]
pub(super) struct Project {
    /// The folder, absolute.
    pub(super) dir: PathBuf,
    /// What it is written in.
    pub(super) lang: Lang,
    /// The file that it was told by.
    pub(super) entry: PathBuf,
}

impl Project {
    /// The project in a folder; its language is told by its files where it is not named.
    ///
    /// # Errors
    /// Where there is no project, or one of two languages.
    pub(super) fn open(dir: &Path, lang: Option<Lang>) -> anyhow::Result<Self> {
        let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
        let langs = lang.map_or_else(|| Lang::value_variants().to_vec(), |lang| vec![lang]);
        let candidates = langs.iter().flat_map(|lang| lang.entries().iter().map(|entry| (*lang, dir.join(entry))));
        let mut found: Vec<(Lang, PathBuf)> = candidates.filter(|(_, entry)| entry.is_file()).collect();
        let (first, others) = (found.pop(), found.pop());
        match (first, others) {
            (Some((lang, entry)), None) => Ok(Self { dir, lang, entry }),
            (None, _) => {
                let entries: Vec<&str> = langs.iter().flat_map(|lang| lang.entries().iter().copied()).collect();
                let (dir, entries) = (dir.display(), entries.join(", "));
                bail!("{dir} holds no plugin ({entries}): begin one with `perennial plugin new`");
            }
            (Some((_, one)), Some((_, other))) => {
                let (one, other) = (one.display(), other.display());
                bail!("there are both {other} and {one}: say which is meant with --lang, or remove one");
            }
        }
    }

    /// Where the component is built to.
    pub(super) fn component(&self) -> PathBuf {
        component(&self.dir)
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The SDK that came with the project.
    ///
    /// # Errors
    /// Where it is gone.
    pub(super) fn vendor(&self) -> anyhow::Result<PathBuf> {
        let vendor = self.dir.join("vendor");
        if !vendor.join("wit").is_dir() {
            let vendor = vendor.display();
            bail!("{vendor} is not the SDK: `perennial plugin new` writes it into every project that it begins");
        }
        Ok(vendor)
    }
}

/// A plugin as the commands take it: its file, or the folder of its project.
#[derive(Debug)]
pub(super) struct Built {
    /// The component, which is there.
    pub(super) file: PathBuf,
    /// A folder, which may be missing.
    pub(super) cases: PathBuf,
}

impl Built {
    /// What a path on the command line means.
    ///
    /// # Errors
    /// Where nothing was built.
    pub(super) fn find(path: &Path) -> anyhow::Result<Self> {
        if path.is_file() {
            let folder = path.parent().unwrap_or(Path::new(""));
            return Ok(Self { file: path.to_owned(), cases: folder.join("cases") });
        }
        let dir = path.canonicalize().with_context(|| path.display().to_string())?;
        let file = component(&dir);
        if !file.is_file() {
            bail!("{} is not there: `perennial plugin build {}` makes it", file.display(), path.display());
        }
        Ok(Self { file, cases: dir.join("cases") })
    }

    /// What it is called where the command line gives no other name.
    pub(super) fn name(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn component(dir: &Path) -> PathBuf {
    dir.join(format!("{}.wasm", dir.file_name().unwrap_or_default().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn language_is_told_by_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let open = |lang| Project::open(folder.path(), lang);
        assert!(open(None).unwrap_err().to_string().contains("perennial plugin new"));
        fs::write(folder.path().join("plugin.ts"), "").unwrap();
        assert_eq!(open(None).unwrap().lang, Lang::Js);
        fs::write(folder.path().join("plugin.py"), "").unwrap();
        assert!(open(None).unwrap_err().to_string().contains("--lang"));
        assert_eq!(open(Some(Lang::Python)).unwrap().lang, Lang::Python);
        assert!(open(Some(Lang::Rust)).unwrap_err().to_string().contains("Cargo.toml"));
    }

    #[test]
    fn plugin_is_found_by_file_and_by_folder() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a.b");
        fs::create_dir(&dir).unwrap();
        assert!(Built::find(&dir).unwrap_err().to_string().contains("perennial plugin build"));
        let file = dir.join("a.b.wasm");
        fs::write(&file, "").unwrap();
        for path in [&dir, &file] {
            let built = Built::find(path).unwrap();
            assert_eq!((built.name().as_str(), built.cases.ends_with("a.b/cases")), ("a.b", true));
        }
    }
}

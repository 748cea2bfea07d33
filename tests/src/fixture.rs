use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Daemon, Program, repository};

/// A state directory of its own with the tiny test model, removed at the end. Cycles start only when asked for.
#[derive(Debug)]
pub struct Fixture {
    folder: TempDir,
    /// The program on this state directory.
    pub program: Program,
}

impl Fixture {
    /// An empty state directory.
    ///
    /// # Errors
    /// Where the program is not built, or no folder can be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = repository().join("config/examples/demo/tiny.toml");
        // More samples than any test has, so that no cycle starts by itself.
        let program = Program::new(&config, &folder.path().join("state"))?.with("cycle.samples_min=5000");
        Ok(Self { folder, program })
    }

    /// The same with keys of the configuration set, as `train.epochs=1`.
    pub fn with(mut self, settings: &[&str]) -> Self {
        self.program = settings.iter().fold(self.program, |program, setting| program.with(setting));
        self
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start(&self) -> Result<Daemon> {
        Daemon::start(&self.program)
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        self.program.state()
    }

    /// Writes a file beside the state directory.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Drops a finished file into the inbox, as a careful writer does: under a name of its own first, then renamed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn drop_into_inbox(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let inbox = self.state().join("inbox");
        fs::create_dir_all(&inbox)?;
        let unfinished = self.file(name, content)?;
        fs::rename(unfinished, inbox.join(name)).with_context(|| format!("moving {name} into the inbox"))
    }

    /// How many files wait in the inbox.
    ///
    /// # Errors
    /// Where the inbox cannot be read.
    pub fn waiting(&self) -> Result<usize> {
        let inbox = fs::read_dir(self.state().join("inbox"))?;
        Ok(inbox.filter_map(Result::ok).filter(|entry| entry.path().is_file()).count())
    }

    /// All that its daemons have logged, also where none runs any more.
    pub fn log(&self) -> String {
        fs::read_to_string(self.state().with_extension("log")).unwrap_or_default()
    }

    /// The same program on a copy of the state directory. No daemon may be running.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn copy(&self) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("state");
        copy_folder(self.state(), &state)?;
        Ok(Self { program: self.program.with_state(&state), folder })
    }

    /// The registry, whose invariants hold at any moment, also right after a kill.
    ///
    /// # Errors
    /// Where it cannot be opened, or an invariant is broken.
    #[cfg(feature = "registry")]
    pub fn registry(&self) -> Result<perennial_registry::Registry> {
        let registry = perennial_registry::Registry::open(&self.state().join("perennial.db"))?;
        registry.check()?;
        Ok(registry)
    }

    /// The adapter that production reads: where `export/current` points to, `None` where nothing is published.
    pub fn published(&self) -> Option<String> {
        let target = fs::canonicalize(self.state().join("export/current")).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }
}

/// The rows of one of the tiny model's files, `tickets_train`, as lines.
///
/// # Errors
/// Where there is no such file.
pub fn task(name: &str) -> Result<Vec<String>> {
    let path = repository().join(format!("tests/goldens/tiny/tasks/{name}.jsonl"));
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

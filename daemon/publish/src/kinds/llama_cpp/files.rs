//! The files that a server of llama.cpp's is started with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use perennial_durable::{create_folder_of_mode, sweep_temporary, write_durably};
use perennial_types::AdapterId;

use crate::{Champion, Exporter, PublishError, error::io_error};

/// The variable that says what the server is to be started with.
pub(super) const VARIABLE: &str = "PERENNIAL_LORA";
/// The file that sets it, which systemd reads with `EnvironmentFile=`.
const ENVIRONMENT: &str = "lora.env";
const ENVIRONMENT_BYTES_MAX: u64 = 1 << 16;
/// The form of the files, as the command line calls it.
const FORMAT: &str = "gguf";
const END: &str = ".gguf";
/// Owner and group: the server reads them.
const FOLDER_MODE: u32 = 0o750;

/// Characters that a path in the server's arguments cannot have: systemd cuts words at some, llama.cpp at the comma and the colon.
const CUTS: [char; 8] = [' ', '\t', '\n', ',', ':', '"', '\'', '\\'];

/// What is wrong with a path as the server sees it.
pub(super) fn cut(path: &Path) -> Option<&'static str> {
    let is_cut = path.to_string_lossy().contains(CUTS);
    is_cut.then_some(
        "must have no spaces, commas, colons, quotes and backslashes: it stands among the server's arguments",
    )
}

/// The folder of a server's files.
pub(super) struct Files {
    pub(super) folder: PathBuf,
    /// The same as the server sees it.
    pub(super) seen: PathBuf,
}

/// The adapter that a file of this name is; `None` for a file of somebody else's.
pub(super) fn adapter_of(file_name: &str) -> Option<AdapterId> {
    file_name.strip_suffix(END)?.parse().ok()
}

impl Files {
    /// The name of an adapter's file: files of one name are never two adapters.
    pub(super) fn name_of(&self, adapter: &AdapterId) -> String {
        format!("{adapter}{END}")
    }

    pub(super) fn environment(&self) -> PathBuf {
        self.folder.join(ENVIRONMENT)
    }

    fn path_of(&self, adapter: &AdapterId) -> PathBuf {
        self.folder.join(self.name_of(adapter))
    }

    /// Whether an adapter's file is there.
    pub(super) fn has(&self, adapter: &AdapterId) -> bool {
        self.path_of(adapter).is_file()
    }

    /// Writes an adapter's file, unless it is there.
    pub(super) fn write(&self, champion: &Champion, exporter: &dyn Exporter) -> Result<(), PublishError> {
        create_folder_of_mode(&self.folder, FOLDER_MODE)?;
        if self.has(&champion.adapter) {
            return Ok(());
        }
        // What a crash left of one that was not finished: nobody else writes here.
        sweep_temporary(&self.folder)?;
        exporter.export(champion, FORMAT, &self.path_of(&champion.adapter)).map_err(PublishError::Export)
    }

    /// Says in the environment file that the server is to have these adapters, with these weights.
    pub(super) fn tell(&self, adapters: &[(&AdapterId, u8)]) -> Result<(), PublishError> {
        if let Some(problem) = cut(&self.seen) {
            let place = self.seen.display().to_string();
            return Err(PublishError::Unlike {
                place,
                problem: format!("cannot be told to the server: a path {problem}"),
            });
        }
        let of_one = |(adapter, weight): &(&AdapterId, u8)| {
            format!("{}:{weight}", self.seen.join(self.name_of(adapter)).display())
        };
        let each: Vec<String> = adapters.iter().map(of_one).collect();
        let arguments = if each.is_empty() { String::new() } else { format!("--lora-scaled {}", each.join(",")) };
        let text = format!(
            "# Written at each change of the champion: what llama-server is to be started with, as in\n\
             # ExecStart=/usr/bin/llama-server --model BASE.gguf ${VARIABLE}\n\
             {VARIABLE}={arguments}\n"
        );
        let known = read(&self.environment())?;
        if known == text {
            return Ok(());
        }
        create_folder_of_mode(&self.folder, FOLDER_MODE)?;
        Ok(write_durably(&self.environment(), text.as_bytes())?)
    }

    /// What the environment file says.
    pub(super) fn arguments(&self) -> Result<String, PublishError> {
        let text = read(&self.environment())?;
        let value = text.lines().find_map(|line| line.strip_prefix(VARIABLE)?.strip_prefix('='));
        Ok(value.unwrap_or_default().to_owned())
    }

    /// Removes the files of all adapters but these.
    pub(super) fn tidy(&self, stays: &[&AdapterId]) -> Result<(), PublishError> {
        for entry in fs::read_dir(&self.folder).map_err(io_error("list", &self.folder))? {
            let path = entry.map_err(io_error("list", &self.folder))?.path();
            let adapter = path.file_name().and_then(|name| adapter_of(name.to_str()?));
            if adapter.is_some_and(|adapter| !stays.contains(&&adapter)) {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// What a file holds that we wrote; nothing where it is not there.
fn read(path: &Path) -> Result<String, PublishError> {
    let length = match path.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    // A longer one is not ours, and is written anew.
    if length > ENVIRONMENT_BYTES_MAX {
        return Ok(String::new());
    }
    fs::read_to_string(path).map_err(io_error("read", path))
}

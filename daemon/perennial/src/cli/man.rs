use std::path::PathBuf;

use anyhow::Context as _;

use super::output;

/// Where manual pages are written.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The folder, which is made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Writes a page for the program and one for each of its commands.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub(super) fn run(&self, program: clap::Command) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        clap_mangen::generate_to(program, &self.folder)
            .with_context(|| format!("writing manual pages to {}", self.folder.display()))?;
        output::note(format!("Manual pages are in {}", self.folder.display()));
        Ok(())
    }
}

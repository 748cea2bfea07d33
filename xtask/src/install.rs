use std::{env, path::PathBuf};

use anyhow::Result;
use clap::Args;

use crate::{output, shell::Shell};

/// Where to install.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder above `bin` [default: cargo's own, whose `bin` is on the PATH where Rust is installed]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Builds the program with all optimisations, link-time ones too, and without symbols, and installs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note(
        "Builds the program as it is for use: other code than that of the tests, so all of it is compiled anew, half an hour \
         on two cores. Then puts `perennial` into cargo's bin folder, or below --root.",
    );
    let arguments = ["install", "--path", "daemon/perennial", "--locked", "--force", "--profile", "dist"];
    let root = options.root.iter().flat_map(|root| {
        // The command runs in the repository's root.
        let root = env::current_dir().map_or_else(|_| root.clone(), |here| here.join(root));
        ["--root".to_owned(), root.display().to_string()]
    });
    Shell::cargo().args(arguments).args(root).run()
}

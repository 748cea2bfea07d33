use anyhow::Result;
use clap::Args;

use crate::{output, shell::Shell};

/// What to test.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the unit tests: none that start the program or read the reference values
    #[arg(long)]
    quick: bool,
    /// The long tests in place of the others: those that need the model of the demo, and have a short twin on the tiny one
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Only tests whose name holds this text
    filter: Option<String>,
}

/// What stands in the name of every test that needs the model of the demo.
const LONG: &str = "smollm2";

/// Builds the tests of the workspace, and runs them.
///
/// Everything is built with `--workspace` and in one profile, so that the demo, the tests and a plain `cargo build`
/// share each compiled crate: features differ between builds of parts, and lance alone takes minutes. The program, which the black-box
/// tests start, was built before.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note("Installs nothing. Builds the tests, then runs them.");
    let kinds: &[&str] = if options.quick { &["--lib", "--bins"] } else { &["--lib", "--bins", "--tests"] };
    let filter = options.filter.as_deref();
    let runner: &[&str] = if has_nextest() { &["nextest", "run", "--workspace"] } else { &["test", "--workspace"] };
    if options.long {
        let ignored: &[&str] = if has_nextest() { &["--run-ignored", "only"] } else { &["--", "--ignored"] };
        return Shell::cargo().args(runner).args(["--test", "*"]).args([filter.unwrap_or(LONG)]).args(ignored).run();
    }
    if !options.quick {
        Shell::cargo().args(["test", "--workspace", "--doc"]).args(filter).run()?;
    }
    Shell::cargo().args(runner).args(kinds).args(filter).run()
}

fn has_nextest() -> bool {
    Shell::cargo().args(["nextest", "--version"]).succeeds()
}

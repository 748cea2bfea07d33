use std::{
    env,
    fmt::Display,
    fs::File,
    iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use perennial_tests::{Program, repository};

use crate::output;

/// A command that runs in the repository's root and is shown before it runs.
pub(crate) struct Shell(Command);

impl Shell {
    /// A program, not yet started.
    pub(crate) fn new(program: impl AsRef<Path>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.current_dir(repository());
        Self(command)
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo() -> Self {
        Self::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
    }

    /// A command of the built program.
    pub(crate) fn program(program: &Program, arguments: &[&str]) -> Self {
        Self(program.command(arguments))
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets environment variables.
    pub(crate) fn envs(mut self, variables: &[(&str, &str)]) -> Self {
        self.0.envs(variables.iter().copied());
        self
    }

    /// The command, to run it otherwise than this does.
    pub(crate) fn into_command(self) -> Command {
        self.0
    }

    /// Shows the command, runs it, and waits for its end.
    ///
    /// # Errors
    /// Where it cannot be started, or fails.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.line();
        output::note(format!("$ {line}"));
        let status = self.0.status().with_context(|| format!("starting: {line}"))?;
        if !status.success() {
            bail!("{line}: {status}");
        }
        Ok(())
    }

    /// As [`run`](Self::run), with all that the command says in a file.
    ///
    /// # Errors
    /// Where the file cannot be written, or the command cannot be started or fails.
    pub(crate) fn run_logged(mut self, log: &Path) -> Result<()> {
        let file = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        self.0.stdout(file.try_clone().context("a second handle of the log")?).stderr(file);
        self.run().with_context(|| format!("{} says why", from_root(log.display())))
    }

    /// Runs the command and takes what it prints, without the space around it.
    ///
    /// # Errors
    /// Where it cannot be started, fails, or prints no text.
    pub(crate) fn text(mut self) -> Result<String> {
        let line = self.line();
        let output = self.0.stderr(Stdio::inherit()).output().with_context(|| format!("starting: {line}"))?;
        if !output.status.success() {
            bail!("{line}: {}", output.status);
        }
        let text = String::from_utf8(output.stdout).with_context(|| format!("what this printed: {line}"))?;
        Ok(text.trim().to_owned())
    }

    /// Whether the command can be run and succeeds, without a word of it.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.output().is_ok_and(|output| output.status.success())
    }

    fn line(&self) -> String {
        let program = Path::new(self.0.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        let words = iter::once(name).chain(self.0.get_args());
        from_root(words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "))
    }
}

/// The folder that cargo builds to, where this program lies in a folder of its own.
///
/// # Errors
/// Where it lies elsewhere.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("finding the running executable")?;
    own.ancestors().nth(2).map(Path::to_owned).context("the executable lies in no target folder")
}

/// Paths as one types them in the repository's root.
pub(crate) fn from_root(text: impl Display) -> String {
    text.to_string().replace(&format!("{}/", repository().display()), "")
}

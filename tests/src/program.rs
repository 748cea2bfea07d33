use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The built program with the configuration and the state directory that every call gets.
#[derive(Clone, Debug)]
pub struct Program {
    binary: PathBuf,
    config: PathBuf,
    state: PathBuf,
    settings: Vec<String>,
    variables: Vec<(String, String)>,
}

/// The exit code of a cycle, or of the gate, where the candidate is rejected.
pub const REJECTED: i32 = 5;

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Program {
    /// The program that was built beside the running executable.
    ///
    /// # Errors
    /// Where it is not built.
    pub fn new(config: &Path, state: &Path) -> Result<Self> {
        let (settings, variables) = (Vec::new(), Vec::new());
        Ok(Self { binary: find_binary()?, config: config.to_owned(), state: state.to_owned(), settings, variables })
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The same program with one key of the configuration set, as `train.epochs=1`.
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// The same program with an environment variable set.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same program with another configuration file.
    pub fn with_config(&self, config: &Path) -> Self {
        Self { config: config.to_owned(), ..self.clone() }
    }

    /// The same program with another state directory.
    pub fn with_state(&self, state: &Path) -> Self {
        Self { state: state.to_owned(), ..self.clone() }
    }

    /// A command with these arguments, not yet started.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(&self.config).arg("--state").arg(&self.state);
        self.settings.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        command.args(arguments).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command as one would type it.
    pub fn line<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let command = self.command(arguments);
        let words = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,".contains(c);
            if word.chars().all(plain) { word.into_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// Where it cannot be started. How it ended is the caller's to judge.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Finished> {
        let output = self.command(arguments).output().with_context(|| format!("starting {}", self.binary.display()))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }
}

impl Finished {
    /// The standard output of a command that succeeded.
    ///
    /// # Errors
    /// Where it failed, with what it said.
    pub fn success(self) -> Result<String> {
        ensure!(self.code == Some(0), "exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// The standard output of a cycle, or of the gate, that came to a decision.
    ///
    /// # Errors
    /// Where it came to none, with what it said.
    pub fn decided(self) -> Result<String> {
        ensure!(matches!(self.code, Some(0 | REJECTED)), "exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// The standard error of a command that failed of its own accord: with an exit code, and not by a panic.
    ///
    /// # Errors
    /// Where it succeeded, panicked or was killed.
    pub fn failure(self) -> Result<String> {
        ensure!(self.code.is_some_and(|code| code != 0), "exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        ensure!(!self.stderr.contains("panicked at"), "it panicked: {}", self.stderr);
        Ok(self.stderr)
    }
}

// Cargo puts the program into the profile's folder (`target/debug`), xtask beside it and tests into `deps` below it.
fn find_binary() -> Result<PathBuf> {
    let own = env::current_exe().context("finding the running executable")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("perennial"))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no program `perennial` near {}: run `cargo build --workspace` first", own.display()))
}

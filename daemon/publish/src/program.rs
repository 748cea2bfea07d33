//! A program of the user's, started without a shell, with a bound on its time.

use std::{process::Stdio, time::Duration};

use perennial_types::shortened;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    runtime::Handle,
};

/// How much of what a failed program says is read, in bytes …
const COMPLAINT_BYTES_MAX: u64 = 16 << 10;
/// … and passed on, in characters.
const COMPLAINT_CHARS_MAX: usize = 200;

/// What is started.
pub(crate) struct Program<'a> {
    /// Its path, and what follows it.
    pub(crate) run: &'a [String],
    /// What it finds in its environment, besides this program's.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What it may read from its standard input.
    pub(crate) input: &'a [u8],
    /// When it is killed.
    pub(crate) timeout: Duration,
    /// The key that says so.
    pub(crate) timeout_key: &'static str,
}

impl Program<'_> {
    /// What is wrong with a command; `None` where it begins with an absolute path.
    pub(crate) fn fault(run: &[String]) -> Option<&'static str> {
        let is_absolute = run.first().is_some_and(|program| program.starts_with('/'));
        (!is_absolute).then_some(
            "must begin with the absolute path of a program, as in [\"/usr/local/bin/deploy\", \"champion\"]",
        )
    }

    /// Runs it, from a thread that may wait, and succeeds where it ends with 0.
    ///
    /// # Errors
    /// Why it did not end well, as the rest of a sentence that begins with its name.
    pub(crate) fn run(&self, runtime: &Handle) -> Result<(), String> {
        let ended = runtime.block_on(async { tokio::time::timeout(self.timeout, self.ended()).await });
        let over = || format!("was killed: it took longer than {}, {}", self.timeout_key, self.timeout.as_secs());
        ended.unwrap_or_else(|_| Err(over()))
    }

    async fn ended(&self) -> Result<(), String> {
        let started = Command::new(self.run.first().map_or("", String::as_str))
            .args(self.run.iter().skip(1))
            .envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = started.map_err(|error| format!("cannot be started: {error}"))?;
        let (mut stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let told = async {
            // Whoever does not read it is not wrong.
            if let Some(stdin) = &mut stdin {
                let _ = stdin.write_all(self.input).await;
            }
            drop(stdin);
        };
        let complaint = async {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr).take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await;
                // The rest is read too, so that it never waits for a reader.
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            said
        };
        let (ended, (), said) = tokio::join!(child.wait(), told, complaint);
        let status = ended.map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("without a word");
        let last: String = last.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Err(format!("ended with {status}: {}", shortened(&last, COMPLAINT_CHARS_MAX)))
    }
}

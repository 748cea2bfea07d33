use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Http, Metrics, Program, wait_until};

const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running `perennial run`. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    kill_when_dropped: bool,
    /// Its HTTP interface.
    pub http: Http,
    log: PathBuf,
}

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// Killed, by the signal of this number.
    Signal(i32),
}

impl Daemon {
    /// Starts the daemon on a free port and waits until it is ready. Its log goes to `daemon.log` beside the state
    /// directory, appended to what earlier runs wrote.
    ///
    /// # Errors
    /// Where it ends or does not become ready; with the end of its log.
    pub fn start(program: &Program) -> Result<Self> {
        let mut daemon = Self::spawn(program)?;
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// As [`start`](Self::start), without waiting.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(program: &Program) -> Result<Self> {
        let address = free_address()?;
        let log = program.state().with_extension("log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = program
            .clone()
            .with(&format!("http.listen={address}"))
            .command(&["run"])
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("starting the daemon")?;
        Ok(Self { child, kill_when_dropped: true, http: Http::new(address), log })
    }

    /// Waits until `/ready` says so.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn wait_ready(&mut self) -> Result<()> {
        let http = self.http;
        self.wait_for("readiness", READY_LIMIT, || {
            Ok(http.get("/ready").is_ok_and(|response| response.status == 200).then_some(()))
        })
    }

    /// Asks `check` again and again until it has an answer, and gives up at once when the daemon has ended.
    ///
    /// # Errors
    /// Where the daemon ended, `check` failed, or `limit` has passed; with the end of the daemon's log.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut check: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let child = &mut self.child;
        let answer = wait_until(what, limit, || {
            if let Some(answer) = check()? {
                return Ok(Some(answer));
            }
            if let Some(status) = child.try_wait()? {
                bail!("the daemon ended ({status}) while {what} was awaited");
            }
            Ok(None)
        });
        answer.with_context(|| format!("the daemon's log ends:\n{}", self.log_end()))
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn ended(&mut self) -> Result<Option<Exit>> {
        self.child.try_wait()?.map(exit).transpose()
    }

    /// `/v1/status`.
    ///
    /// # Errors
    /// Where the daemon does not answer with JSON.
    pub fn status(&self) -> Result<Value> {
        self.http.get("/v1/status")?.json()
    }

    /// `/metrics`.
    ///
    /// # Errors
    /// Where the daemon does not answer with metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.http.get("/metrics")?.body)
    }

    /// Sends a signal by its name: `TERM`, `HUP` …
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        // The shell's own `kill`: a call of libc's would be the crate's only unsafe code, and a bare system has no other.
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status()?;
        ensure!(status.success(), "signal {name} was not sent");
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Where it has not ended after `limit`.
    pub fn wait_exit(mut self, limit: Duration) -> Result<Exit> {
        let child = &mut self.child;
        let status = wait_until("the daemon's end", limit, || Ok(child.try_wait()?))
            .with_context(|| format!("the daemon's log ends:\n{}", self.log_end()))?;
        exit(status)
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// As [`wait_exit`](Self::wait_exit).
    pub fn stop(self, limit: Duration) -> Result<Exit> {
        self.signal("TERM")?;
        self.wait_exit(limit)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Leaves it to itself.
    pub fn leave_running(mut self) {
        self.kill_when_dropped = false;
    }

    /// SIGKILL: no chance to tidy up.
    pub fn kill(mut self) {
        self.kill_now();
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_end(&self) -> String {
        const LINES: usize = 30;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn kill_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.kill_when_dropped {
            self.kill_now();
        }
    }
}

fn exit(status: ExitStatus) -> Result<Exit> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(Exit::Code(code)),
        (None, Some(signal)) => Ok(Exit::Signal(signal)),
        (None, None) => bail!("neither a code nor a signal: {status}"),
    }
}

// The port is free again when the listener is dropped; the daemon takes it a moment later.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

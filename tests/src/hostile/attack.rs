use std::{
    collections::VecDeque,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Bounds, Input, probe::memory_bytes};
use crate::{Daemon, Fixture, Program};

/// The connections that are left open at the same time.
const CONNECTIONS_MAX: usize = 48;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How long a write to a daemon that does not read may take.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Where inputs go.
pub(super) struct Attack<'a> {
    daemon: &'a Daemon,
    fixture: &'a Fixture,
    /// For commands, which have a state directory of their own.
    aside: &'a Fixture,
    bounds: Bounds,
    connections: VecDeque<TcpStream>,
}

impl<'a> Attack<'a> {
    pub(super) fn new(daemon: &'a Daemon, fixture: &'a Fixture, aside: &'a Fixture, bounds: Bounds) -> Self {
        Self { daemon, fixture, aside, bounds, connections: VecDeque::new() }
    }

    /// Does what the input is made for. What it does to the daemon is seen elsewhere.
    ///
    /// # Errors
    /// Where the daemon answers with a defect, or a command does not end of its own accord and within its bounds.
    pub(super) fn carry_out(&mut self, input: &Input) -> Result<()> {
        match input {
            Input::Post { query, content_type, body } => {
                // Refused, cut off or taken: all are answers, but for one that tells of a defect.
                if let Ok(answer) = self.daemon.http.post(&format!("/v1/samples{query}"), content_type, body) {
                    ensure!(answer.status != 500, "the daemon has a defect: {}", answer.body);
                }
            }
            Input::Connection(bytes) => self.connect(bytes),
            Input::Drop { name, bytes } => self.fixture.drop_into_inbox(name, bytes)?,
            Input::Command { files, arguments } => self.command(files, arguments)?,
        }
        Ok(())
    }

    fn connect(&mut self, bytes: &[u8]) {
        let Ok(mut stream) = connected(self.daemon.http.address()) else { return };
        let _ = stream.write_all(bytes);
        if self.connections.len() == CONNECTIONS_MAX {
            self.connections.pop_front();
        }
        self.connections.push_back(stream);
    }

    fn command(&self, files: &[(String, Vec<u8>)], arguments: &[String]) -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(path, bytes)?;
        }
        let here = folder.path().to_string_lossy();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("{}", &here)).collect();
        let program = self.aside.program.clone();
        match &arguments[..] {
            [flag, config, rest @ ..] if flag == "--config" => {
                self.watched(&program.with_config(Path::new(config)), rest)
            }
            all => self.watched(&program, all),
        }
    }

    fn watched(&self, program: &Program, arguments: &[String]) -> Result<()> {
        let mut command = program.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting a command")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        let ended = self.ended(&mut child);
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let said = said.join().unwrap_or_default();
        let code = ended?;
        ensure!(!said.contains("panicked at"), "it panicked: {said}");
        ensure!(code.is_some(), "a signal ended it: {said}");
        Ok(())
    }

    fn ended(&self, child: &mut Child) -> Result<Option<i32>> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.code());
            }
            if started.elapsed() > self.bounds.command_time_max {
                bail!("it goes on after {:?}", self.bounds.command_time_max);
            }
            let held = memory_bytes(child.id());
            if held > self.bounds.memory_bytes_max {
                bail!("it holds {held} bytes, more than {}", self.bounds.memory_bytes_max);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn connected(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, WRITE_LIMIT)?;
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    Ok(stream)
}

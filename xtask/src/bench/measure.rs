use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// What a process printed.
pub(super) struct Measured {
    /// The JSON object in its last line, and `first_line_seconds`: from its start to its first line.
    pub(super) values: Map<String, Value>,
    pub(super) wall_seconds: f64,
}

/// Runs a command to its end, with what it says to standard error in a file.
///
/// # Errors
/// Where it cannot be started, fails, takes longer than `limit`, or its last line is no JSON object; with the last line of
/// what it said.
pub(super) fn measure(mut command: Command, log: &Path, limit: Duration) -> Result<Measured> {
    let errors = File::create(log).with_context(|| format!("writing {}", log.display()))?;
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().context("starting it")?;
    let output = child.stdout.take().context("its output")?;
    let (sender, receiver) = sync_channel(1);
    // Ends with the pipe, or with the first line that nobody waits for any more.
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.map(|line| (start.elapsed(), line)).try_for_each(|line| sender.send(line))
    });
    let (mut first, mut last) = (None, String::new());
    loop {
        match receiver.recv_timeout(limit.saturating_sub(start.elapsed())) {
            Ok((at, line)) => {
                first.get_or_insert(at);
                last = line;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().and_then(|()| child.wait()).context("ending it")?;
                bail!("did not end in {} minutes", limit.as_secs() / 60);
            }
        }
    }
    let status = child.wait().context("waiting for it")?;
    let wall_seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{status}: {}", last_line(log));
    }
    let Ok(Value::Object(mut values)) = serde_json::from_str(&last) else {
        bail!("printed no JSON object but: {last}")
    };
    let first = first.map(|at| at.as_secs_f64());
    values.insert("first_line_seconds".to_owned(), first.into());
    Ok(Measured { values, wall_seconds })
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<Measured> {
        let name = format!("perennial-bench-{}-{:?}.log", std::process::id(), thread::current().id());
        let log = std::env::temp_dir().join(name);
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let measured = measure(command, &log, limit);
        fs::remove_file(log).unwrap();
        measured
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_last_line_is_what_was_measured() {
        let measured = run(r#"echo chatter; echo '{"rate": 2.5}'"#, MINUTE).unwrap();
        assert_eq!(measured.values["rate"], 2.5);
        assert!(measured.values["first_line_seconds"].as_f64().unwrap() <= measured.wall_seconds);
    }

    #[test]
    fn what_goes_wrong_is_named() {
        let problem = |script, limit| run(script, limit).err().unwrap().to_string();
        assert!(
            problem("echo no wheel for this processor >&2; exit 3", MINUTE).ends_with("no wheel for this processor")
        );
        assert!(problem("echo nonsense", MINUTE).contains("nonsense"));
        assert!(problem("exec sleep 60", Duration::from_millis(50)).starts_with("did not end"));
    }
}

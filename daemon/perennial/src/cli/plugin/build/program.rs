use std::{io, process::Command};

use anyhow::{Context as _, anyhow, bail};

/// How much of what a program said is shown where it failed.
const FIRST_LINES_SHOWN: usize = 5;
const LAST_LINES_SHOWN: usize = 20;

/// Runs a program to its end and returns what it printed. `missing` is the command that installs it.
///
/// # Errors
/// Where it is not there, with `missing`; where it fails, with the end of what it said.
pub(super) fn run(command: &mut Command, missing: &str) -> anyhow::Result<String> {
    run_explained(command, missing, |_| None)
}

/// As [`run`]; where `explain` knows what is meant by all that a failed program said, that is the error.
///
/// # Errors
/// As [`run`].
pub(super) fn run_explained(
    command: &mut Command,
    missing: &str,
    explain: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{name} is not installed: {missing}"),
        Err(error) => return Err(error).context(name),
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let said = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Err(explain(&said).map_or_else(|| anyhow!("{name} failed:\n{}", shortened(&said)), anyhow::Error::msg))
}

/// The beginning, where some say what is wrong, and the end, where others do.
fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let left_out = lines.len().saturating_sub(FIRST_LINES_SHOWN + LAST_LINES_SHOWN);
    if left_out == 0 {
        return lines.join("\n");
    }
    let (first, rest) = lines.split_at(FIRST_LINES_SHOWN);
    format!("{}\n… {left_out} lines …\n{}", first.join("\n"), rest[left_out..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_names_what_installs_it() {
        let error = run(&mut Command::new("no-such-program"), "`apt-get install it`").unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed: `apt-get install it`");
    }

    #[test]
    fn failure_shows_both_ends_of_what_was_said() {
        let script = "i=0; while [ $i -lt 99 ]; do echo line $i; i=$((i+1)); done; echo last >&2; exit 3";
        let error = run(Command::new("sh").args(["-c", script]), "").unwrap_err().to_string();
        assert!(error.starts_with("sh failed:\nline 0\n") && error.ends_with("line 98\nlast"), "{error}");
        assert!(error.contains("line 4\n… 75 lines …\nline 80\n"), "{error}");
        assert_eq!(run(Command::new("sh").args(["-c", "echo yes"]), "").unwrap(), "yes\n");
    }
}

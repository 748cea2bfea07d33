//! `kind = "command"`: a program of the user's is started at each change of the champion, for servers that no other kind knows.
//!
//! It reads the change from its standard input, in the JSON of the webhook, and finds the adapter's folder in the environment too.
//! Where it ends with 0, the target serves the champion.

use std::{path::PathBuf, time::Duration};

use perennial_types::{Fingerprint, Fingerprinter};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::{
    Fault, Observed, PathKey, PublishError, Publisher, Reach, Settings, Surroundings, Tries, Wish,
    event::{body, event_id},
    program::Program,
    remote::{self, attempts_max, pause_seconds, timeout_seconds},
};

/// The keys of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// What it is called.
    #[serde(default = "name")]
    pub name: String,
    /// The program, a path, and what follows it. No shell reads it.
    pub run: Vec<String>,
    /// How long a try may take; it is killed then.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// How often a change is tried.
    #[serde(default = "attempts_max")]
    pub attempts_max: u32,
    /// The first pause between two tries.
    #[serde(default = "pause_seconds")]
    pub pause_seconds: u64,
}

fn name() -> String {
    "command".to_owned()
}

impl Settings for CommandConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn faults(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        if let Some(problem) = Program::fault(&self.run) {
            found.push(Fault { key: "run", problem: problem.to_owned() });
        }
        found.extend(remote::faults(self.timeout_seconds, self.attempts_max, self.pause_seconds));
        found
    }

    fn paths(&mut self) -> Vec<PathKey<'_>> {
        Vec::new()
    }

    fn open(&self, surroundings: &Surroundings) -> Box<dyn Publisher> {
        Box::new(Command { config: self.clone(), runtime: surroundings.runtime.clone() })
    }
}

struct Command {
    config: CommandConfig,
    runtime: Handle,
}

impl Command {
    fn program(&self) -> &str {
        self.config.run.first().map_or("", String::as_str)
    }
}

impl Publisher for Command {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn place(&self) -> Fingerprint {
        let parts = self.config.run.iter();
        parts.fold(Fingerprinter::new(), |parts, part| parts.part(part.as_bytes())).finish()
    }

    fn reach(&self) -> Reach {
        Reach::Remote
    }

    fn tries(&self) -> Tries {
        remote::tries(self.config.attempts_max, self.config.pause_seconds)
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        let event = body(&event_id(&self.config.name, wish), wish);
        let text = |part: Option<String>| part.unwrap_or_default();
        let environment = vec![
            ("PERENNIAL_CHANGE", wish.change.to_string()),
            ("PERENNIAL_REASON", wish.reason.clone()),
            ("PERENNIAL_CHAMPION", text(wish.adapter().map(ToString::to_string))),
            ("PERENNIAL_PREVIOUS", text(wish.previous.as_ref().map(ToString::to_string))),
            ("PERENNIAL_PATH", text(wish.champion.as_ref().map(|champion| champion.folder.display().to_string()))),
        ];
        let program = Program {
            run: &self.config.run,
            environment,
            input: &event,
            timeout: Duration::from_secs(self.config.timeout_seconds),
            timeout_key: "timeout_seconds",
        };
        let ended = program.run(&self.runtime);
        ended.map_err(|problem| PublishError::Unlike { place: self.program().to_owned(), problem })
    }

    fn observe(&self, _: &Wish) -> Result<Observed, PublishError> {
        Ok(Observed::Untold)
    }

    fn check(&self) -> Result<String, PublishError> {
        let program = PathBuf::from(self.program());
        match program.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(self.config.run.join(" ")),
            Ok(_) => {
                Err(PublishError::Unlike { place: self.program().to_owned(), problem: "is no program".to_owned() })
            }
            Err(source) => Err(PublishError::Io { action: "find the program", path: program, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use tokio::runtime::Runtime;

    use super::*;
    use crate::testing::wish;

    /// A target whose program is a shell with this script.
    fn command(script: &str, timeout_seconds: u64) -> (Runtime, CommandConfig) {
        let run = ["/bin/sh", "-c", script].map(str::to_owned).into();
        (
            Runtime::new().unwrap(),
            CommandConfig { name: name(), run, timeout_seconds, attempts_max: 1, pause_seconds: 1 },
        )
    }

    fn published(script: &str, timeout_seconds: u64) -> Result<(), String> {
        let (runtime, config) = command(script, timeout_seconds);
        let command = Command { config, runtime: runtime.handle().clone() };
        command.publish(&wish(1, Some("one"))).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_told_of_the_change_in_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let (told, path) = (folder.path().join("told"), folder.path().join("path"));
        let script =
            format!("cat > {}; echo \"$PERENNIAL_PATH $PERENNIAL_CHANGE\" > {}", told.display(), path.display());
        assert_eq!(published(&script, 10), Ok(()));
        let wish = wish(1, Some("one"));
        assert_eq!(fs::read(told).unwrap(), body(&event_id("command", &wish), &wish));
        let folder = wish.champion.unwrap().folder;
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{} 1\n", folder.display()));
    }

    #[test]
    fn what_fails_says_its_last_words_and_what_never_ends_is_killed() {
        let failed = published("echo first >&2; printf 'no \\033[31mserver\\n\\n' >&2; exit 3", 10).unwrap_err();
        assert!(failed.contains("exit status: 3: no  [31mserver"), "{failed}");
        let loud = published("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", 10).unwrap_err();
        assert!(loud.len() < 400, "{loud}");
        let started = Instant::now();
        let endless = published("exec sleep 60", 1).unwrap_err();
        assert!(endless.contains("timeout_seconds") && started.elapsed() < Duration::from_secs(30), "{endless}");
        // Whoever reads nothing has been told nevertheless.
        assert_eq!(published("exit 0", 10), Ok(()));
    }

    #[test]
    fn what_is_no_program_is_named() {
        let (runtime, config) = command("", 0);
        let keys = |config: &CommandConfig| config.faults().iter().map(|fault| fault.key).collect::<Vec<_>>();
        assert_eq!(keys(&config), ["timeout_seconds"]);
        let config = CommandConfig { run: vec!["deploy".to_owned()], timeout_seconds: 1, ..config };
        assert_eq!(keys(&config), ["run"]);
        let run = vec!["/nowhere/deploy".to_owned()];
        let missing = Command { config: CommandConfig { run, ..config }, runtime: runtime.handle().clone() };
        assert!(missing.check().unwrap_err().to_string().contains("/nowhere/deploy"));
        assert!(missing.publish(&wish(1, None)).unwrap_err().to_string().contains("cannot be started"));
    }
}

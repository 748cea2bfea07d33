use std::{fs, time::Duration};

use perennial_reward::{
    Completion, Fault, Host, HostOptions, LoadError, Outcome, Plugin, PluginOptions, Scoring, Task,
};

use crate::guest::Guest;

/// What every guest here is called in the configuration: each line that the operator reads must name it.
pub(crate) const NAME: &str = "suspect";

/// A host whose fuel is spent within a moment.
pub(crate) fn host() -> Host {
    Host::new(HostOptions { fuel_per_sample: 2_000_000, deadline: Duration::from_secs(60), ..HostOptions::default() })
        .unwrap()
}

pub(crate) fn options() -> PluginOptions {
    PluginOptions::new(NAME)
}

pub(crate) fn load(guest: &Guest) -> Plugin {
    host().load_bytes(&guest.module(), &options()).unwrap()
}

/// A guest that behaves but for the body of its `score`.
pub(crate) fn scoring(score: &str) -> Plugin {
    load(&Guest { score, ..Guest::default() })
}

/// What the operator reads of a file that is refused.
pub(crate) fn refusal(bytes: &[u8]) -> String {
    refusal_with(bytes, &options())
}

pub(crate) fn refusal_with(bytes: &[u8], options: &PluginOptions) -> String {
    line(host().load_bytes(bytes, options))
}

pub(crate) fn line(loaded: Result<Plugin, LoadError>) -> String {
    let line = loaded.expect_err("the plugin is refused").to_string();
    assert!(line.starts_with("plugin suspect: "), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    line
}

pub(crate) fn task(samples: usize) -> Task {
    let sample = |index| Completion { id: format!("sample-{index}"), text: "a completion".to_owned() };
    Task { samples: (0..samples).map(sample).collect(), ..Task::default() }
}

/// The one fault that all samples of a failed call share.
pub(crate) fn fault(scoring: &Scoring) -> &Fault {
    let [first, others @ ..] = &scoring.outcomes[..] else { panic!("no outcome") };
    assert!(others.iter().all(|outcome| outcome == first), "{:?}", scoring.outcomes);
    let Outcome::Faulted(fault) = first else { panic!("{first:?}") };
    assert!(fault.message.starts_with("plugin suspect: "), "{fault}");
    assert!(!fault.message.chars().any(char::is_control), "{:?}", fault.message);
    fault
}

/// What this process holds in memory, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

//! When each target of publishing is looked at, one look at a time.

use std::time::Duration;

use perennial_publish::When;
use tokio::time::Instant;
use tracing::error;

use super::{Service, jobs::Job, work::on_plain_thread};
use crate::publishing::LOOK_AGAIN;

/// The targets, and when each is due.
pub(super) struct Targets(Vec<Target>);

struct Target {
    name: String,
    due: Instant,
    when: When,
    runs: bool,
}

impl Targets {
    /// All of these, to be looked at now: whatever was given up before is tried once more at a start.
    pub(super) fn new(names: Vec<String>) -> Self {
        let target = |name| Target { name, due: Instant::now(), when: When::Now, runs: false };
        Self(names.into_iter().map(target).collect())
    }

    /// When the next one is due, if one is that nobody looks at.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().filter(|target| !target.runs).map(|target| target.due).min()
    }

    /// All of them are to be looked at now: something changed, or somebody asks.
    fn look_now(&mut self) {
        for target in &mut self.0 {
            (target.due, target.when) = (Instant::now(), When::Now);
        }
    }

    /// Those that are due, to be looked at.
    fn begin(&mut self) -> Vec<(String, When)> {
        let now = Instant::now();
        let mut begun = Vec::new();
        for target in self.0.iter_mut().filter(|target| !target.runs && target.due <= now) {
            begun.push((target.name.clone(), target.when));
            // What changes while it is looked at is not seen by that look for certain, and sets this anew.
            (target.runs, target.due, target.when) = (true, now + FAR, When::Due);
        }
        begun
    }

    fn end(&mut self, name: &str, again_in: Duration) {
        if let Some(target) = self.0.iter_mut().find(|target| target.name == name) {
            target.runs = false;
            target.due = target.due.min(Instant::now() + again_in);
        }
    }
}

/// Later than any look that is asked for.
const FAR: Duration = Duration::from_secs(86_400);

impl Service {
    pub(super) fn look_at_targets(&mut self) {
        for (name, when) in self.targets.begin() {
            let publishing = self.context.publishing.clone();
            self.jobs.spawn(async move {
                let target = name.clone();
                let followed = on_plain_thread("publisher", move || publishing.follow(&target, when)).await;
                let again_in = followed.unwrap_or_else(|problem| {
                    error!(to = name, error = %problem, "it cannot be looked what a target serves; tried again");
                    LOOK_AGAIN
                });
                Job::Followed(name, again_in)
            });
        }
    }

    /// The champion changed, or somebody wants what was given up to be tried again.
    pub(super) fn publish_now(&mut self) {
        self.targets.look_now();
    }

    pub(super) fn followed(&mut self, name: &str, again_in: Duration) {
        self.targets.end(name, again_in);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_once_at_a_time_and_again_where_something_changed_meanwhile() {
        let mut targets = Targets::new(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(targets.begin().len(), 2);
        assert_eq!((targets.begin(), targets.due()), (vec![], None));
        targets.end("one", Duration::from_secs(60));
        assert!(targets.begin().is_empty() && targets.due().is_some());
        targets.look_now();
        assert_eq!(targets.begin(), [("one".to_owned(), When::Now)]);
        targets.end("two", Duration::from_secs(60));
        assert_eq!(targets.begin(), [("two".to_owned(), When::Now)], "what changed meanwhile is looked at again");
    }
}

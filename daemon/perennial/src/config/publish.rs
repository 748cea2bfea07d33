//! `[[publish]]`: where the champion goes. The keys of each kind stand with its code, in `perennial-publish`.

use std::collections::BTreeSet;

use perennial_publish::TargetConfig;
use perennial_types::Domain;

use super::{Config, problems::Problem};

impl Config {
    /// The targets: those that are configured, or else the folder in the state directory.
    pub(crate) fn targets(&self) -> Vec<TargetConfig> {
        if self.publish.is_empty() { vec![TargetConfig::default()] } else { self.publish.clone() }
    }
}

/// What makes no sense by itself.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (at, target) in config.publish.iter().enumerate() {
        let settings = target.settings();
        let mut add = |key: &str, problem: String| found.push(Problem { key: format!("publish[{at}].{key}"), problem });
        let name = settings.name();
        if Domain::new(name).is_err() {
            add("name", "must be letters, digits, '.', '_' or '-'".to_owned());
        }
        if !names.insert(name.to_owned()) {
            add("name", format!("is taken: two targets are called {name:?}"));
        }
        for fault in settings.faults() {
            add(fault.key, fault.problem);
        }
    }
    found
}

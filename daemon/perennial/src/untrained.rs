//! Samples of kinds that no stage of training learns from: they are stored, and wait until one does.

use std::{collections::BTreeMap, fmt};

use perennial_registry::Registry;
use perennial_types::Kind;
use serde::{Deserialize, Serialize};

use crate::config::{Config, key_to_train};

/// Samples of one kind that no stage of training learns from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Untrained {
    /// Their kind.
    pub(crate) kind: Kind,
    /// How many; those that are held out do not count.
    pub(crate) samples: u64,
    /// What in the configuration trains on them.
    pub(crate) key: String,
}

impl Untrained {
    /// So many of a kind.
    pub(crate) fn new(kind: Kind, samples: u64) -> Self {
        Self { kind, samples, key: key_to_train(kind) }
    }
}

impl fmt::Display for Untrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, samples, key } = self;
        write!(f, "{samples} {} samples that no stage of training learns from: `{key}` would", kind.as_str())
    }
}

/// Those that wait under this configuration, each kind once.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn waiting(config: &Config, registry: &Registry) -> anyhow::Result<Vec<Untrained>> {
    let trained = config.trained_kinds();
    let mut found = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| !trained.contains(kind)) {
        let samples = registry.fresh(&[kind], None)?.count;
        if samples > 0 {
            found.push(Untrained::new(kind, samples));
        }
    }
    Ok(found)
}

/// Of samples that were counted by kind, those that no stage learns from.
pub(crate) fn among(counts: BTreeMap<Kind, u64>, config: &Config) -> Vec<Untrained> {
    let trained = config.trained_kinds();
    let untrained = counts.into_iter().filter(|(kind, _)| !trained.contains(kind));
    untrained.map(|(kind, samples)| Untrained::new(kind, samples)).collect()
}

/// Adds more to what was counted.
pub(crate) fn add(counted: &mut Vec<Untrained>, more: Vec<Untrained>) {
    for Untrained { kind, samples, key } in more {
        match counted.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.samples += samples,
            None => counted.push(Untrained { kind, samples, key }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kinds_without_a_stage_are_named() {
        let counts = BTreeMap::from([(Kind::Messages, 5), (Kind::Preference, 2)]);
        let found = among(counts.clone(), &Config::default());
        assert_eq!(found, [Untrained::new(Kind::Preference, 2)]);
        assert_eq!(
            found[0].to_string(),
            "2 preference samples that no stage of training learns from: `[[train.stage]] objective = \"dpo\"` would"
        );
        let both = "[[train.stage]]\nobjective = \"sft\"\n[[train.stage]]\nobjective = \"dpo\"";
        assert!(among(counts, &toml::from_str(both).unwrap()).is_empty());
    }

    #[test]
    fn counts_of_parts_add_up() {
        let mut counted = vec![Untrained::new(Kind::Preference, 2)];
        add(&mut counted, vec![Untrained::new(Kind::Preference, 3), Untrained::new(Kind::PromptOnly, 1)]);
        assert_eq!(counted, [Untrained::new(Kind::Preference, 5), Untrained::new(Kind::PromptOnly, 1)]);
    }
}

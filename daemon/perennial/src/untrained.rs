//! Samples of kinds that no stage of training learns from: they are stored, and wait until one does.

use std::collections::BTreeMap;

use perennial_registry::Registry;
use perennial_types::Kind;

use crate::{
    answers::Untrained,
    config::{Config, key_to_train},
};

/// So many of a kind.
pub(crate) fn of(kind: Kind, samples: u64) -> Untrained {
    Untrained { kind, samples, key: key_to_train(kind) }
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
            found.push(of(kind, samples));
        }
    }
    Ok(found)
}

/// Of samples that were counted by kind, those that no stage learns from.
pub(crate) fn among(counts: BTreeMap<Kind, u64>, config: &Config) -> Vec<Untrained> {
    let trained = config.trained_kinds();
    let untrained = counts.into_iter().filter(|(kind, _)| !trained.contains(kind));
    untrained.map(|(kind, samples)| of(kind, samples)).collect()
}

/// The samples of a kind that is there already join its count.
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
        assert_eq!(found, [of(Kind::Preference, 2)]);
        assert_eq!(
            found[0].to_string(),
            "2 preference samples that no stage of training learns from: `[[train.stage]] objective = \"dpo\"` would"
        );
        let both = "[[train.stage]]\nobjective = \"sft\"\n[[train.stage]]\nobjective = \"dpo\"";
        assert!(among(counts, &toml::from_str(both).unwrap()).is_empty());
    }

    #[test]
    fn counts_of_parts_add_up() {
        let mut counted = vec![of(Kind::Preference, 2)];
        add(&mut counted, vec![of(Kind::Preference, 3), of(Kind::PromptOnly, 1)]);
        assert_eq!(counted, [of(Kind::Preference, 5), of(Kind::PromptOnly, 1)]);
    }
}

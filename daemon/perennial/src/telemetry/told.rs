use std::collections::BTreeMap;

use perennial_learn::tokenize::{EncodeError, Notes};
use serde::Serialize;

/// What is to be told of the samples of a run: how many of them, by the name of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Told {
    samples: BTreeMap<&'static str, u64>,
}

/// Samples with a role that the template refuses: they are not learned from.
const ROLE_REFUSED: (&str, &str) =
    ("role_refused", "the chat template refuses a role of theirs, so they are not learned from");

impl Told {
    /// Every name that there may be.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Notes::ALL.iter().map(|(name, _)| *name).chain([ROLE_REFUSED.0])
    }

    pub(crate) fn add(&mut self, notes: Notes) {
        for (name, _) in notes.told() {
            *self.samples.entry(name).or_default() += 1;
        }
    }

    pub(crate) fn add_refusal(&mut self, error: &EncodeError) {
        if matches!(error, EncodeError::RoleRefused { .. }) {
            *self.samples.entry(ROLE_REFUSED.0).or_default() += 1;
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (name, samples) in other.samples {
            *self.samples.entry(name).or_default() += samples;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Each with its count and what it means.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
        let meaning = |name: &str| {
            Notes::ALL.iter().chain([&ROLE_REFUSED]).find(|(known, _)| *known == name).map_or("", |(_, told)| told)
        };
        self.samples.iter().map(move |(name, samples)| (*name, *samples, meaning(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted_by_what_is_to_be_told() {
        let mut told = Told::default();
        told.add(Notes { cut: true, border_moved: true, ..Notes::default() });
        told.add(Notes { cut: true, ..Notes::default() });
        told.add(Notes::default());
        told.add_refusal(&EncodeError::RoleRefused { role: "system".to_owned(), reason: "no".to_owned() });
        told.add_refusal(&EncodeError::NoTurnIsTrained);
        let counts: Vec<(&str, u64)> = told.iter().map(|(name, samples, _)| (name, samples)).collect();
        assert_eq!(counts, [("answer_cut", 2), ("border_moved", 1), ("role_refused", 1)]);
        assert!(told.iter().all(|(name, _, meaning)| !meaning.is_empty() && Told::names().any(|known| known == name)));
    }
}

use super::{Detector, Scope};
use crate::{Comparison, View, mix};

/// How far the frequency of tokens has moved: the population stability index of [`mix::compare`] over bins of tokens, each row
/// counting once, however long it is.
pub(super) struct TokenFrequency;

impl Detector for TokenFrequency {
    fn name(&self) -> &'static str {
        "token_frequency"
    }

    fn meaning(&self) -> &'static str {
        "population stability index of the tokens, in 64 bins: below 0.1 as before, above 0.25 other words"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let units = |view: &View<'_>| {
            let bins = view.rows.iter().map(|row| row.bins.clone());
            bins.filter(|bins| !bins.is_empty()).collect::<Vec<_>>()
        };
        let (reference, current) = (units(reference), units(current));
        (!reference.is_empty() && !current.is_empty()).then(|| mix::compare(&reference, &current))
    }
}

use super::{Detector, Scope};
use crate::{Comparison, View, mix};

/// How far the mix of domains has moved: the population stability index of [`mix::compare`].
pub(super) struct DomainMix;

impl Detector for DomainMix {
    fn name(&self) -> &'static str {
        "domain_mix"
    }

    fn meaning(&self) -> &'static str {
        "population stability index of the domains: below 0.1 as before, above 0.25 another mix"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let units = |view: &View<'_>| view.rows.iter().map(|row| vec![(row.domain.clone(), 1.0)]).collect::<Vec<_>>();
        let (reference, current) = (units(reference), units(current));
        (!reference.is_empty() && !current.is_empty()).then(|| mix::compare(&reference, &current))
    }
}

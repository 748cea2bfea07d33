use super::{Detector, Scope};
use crate::{Comparison, View, mix};

/// How far the mix of labels has moved, of the rows that have one: the population stability index of [`mix::compare`].
pub(super) struct LabelMix;

impl Detector for LabelMix {
    fn name(&self) -> &'static str {
        "label_mix"
    }

    fn meaning(&self) -> &'static str {
        "population stability index of the rows' labels: below 0.1 as before, above 0.25 another mix"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let units = |view: &View<'_>| {
            let labels = view.rows.iter().filter_map(|row| row.label.clone());
            labels.map(|label| vec![(label, 1.0)]).collect::<Vec<_>>()
        };
        let (reference, current) = (units(reference), units(current));
        (!reference.is_empty() && !current.is_empty()).then(|| mix::compare(&reference, &current))
    }
}

use std::collections::BTreeMap;

use super::row_objective::{RowObjective, Sequence, StepSize};
use crate::{
    stop::StopFlag,
    tokenize::Encoded,
    train::{
        TrainError, ValidationLoss, ValidationUnit, forward, micro_batch::targets_of, parameters::Parameters,
        passes::Passes,
    },
};

/// The rows of an objective that are validated on, with what the reference says of them.
pub(super) struct Validated<'a, R: RowObjective> {
    pub(super) config: &'a R::Config,
    pub(super) units: &'a [ValidationUnit],
    /// Of each sequence of each unit; empty where the objective does not compare.
    pub(super) reference: &'a [Vec<Vec<f32>>],
    pub(super) tokens_per_micro_batch: usize,
}

impl<R: RowObjective> Validated<'_, R> {
    /// The loss under an adapter, or under the base model without one, by forward passes alone. `None` where it was asked to
    /// stop.
    pub(super) fn loss(
        &self,
        passes: &mut Passes<'_>,
        parameters: Option<&Parameters>,
        stop: &StopFlag,
    ) -> Result<Option<ValidationLoss>, TrainError> {
        let sequences: Vec<&Encoded> = self.units.iter().flat_map(|unit| &unit.sequences).collect();
        let tokens = self.tokens_per_micro_batch;
        let Some(logprobs) = forward::logprobs_under(passes, parameters, &sequences, 1.0, tokens, stop)? else {
            return Ok(None);
        };
        let mut groups: BTreeMap<Group<'_>, (StepSize, f64)> = BTreeMap::new();
        for unit in self.units {
            let targets: usize = unit.sequences.iter().map(|sequence| targets_of(sequence).count()).sum();
            for group in Group::of(unit) {
                let size = &mut groups.entry(group).or_insert((StepSize { units: 0, targets: 0 }, 0.0)).0;
                (size.units, size.targets) = (size.units + 1, size.targets + targets);
            }
        }
        let mut logprobs = logprobs.iter();
        for (at, unit) in self.units.iter().enumerate() {
            let reference = self.reference.get(at).map(Vec::as_slice).unwrap_or_default();
            let references = reference.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
            let own = logprobs.by_ref().take(unit.sequences.len()).zip(references);
            let own: Vec<Sequence<'_>> = own.map(|(logprobs, reference)| Sequence { logprobs, reference }).collect();
            for group in Group::of(unit) {
                let Some((size, sum)) = groups.get_mut(&group) else { continue };
                *sum += R::loss(self.config, size, &own, &mut Vec::new()).value;
            }
        }
        let loss = summed_up(&groups);
        let finite = loss.loss.is_finite() && loss.balanced.is_finite();
        let examples = (0..self.units.len()).collect();
        if finite {
            Ok(Some(loss))
        } else {
            Err(TrainError::NotFinite { what: "the validation loss", step: 0, examples })
        }
    }
}

/// Rows whose loss is told together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group<'u> {
    All,
    Origin(&'u str),
    Domain(&'u str, &'u str),
}

impl<'u> Group<'u> {
    fn of(unit: &'u ValidationUnit) -> [Self; 3] {
        [Self::All, Self::Origin(&unit.origin), Self::Domain(&unit.origin, &unit.domain)]
    }
}

fn summed_up(groups: &BTreeMap<Group<'_>, (StepSize, f64)>) -> ValidationLoss {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let of_domains = |of: &str| -> Vec<f64> {
        let domains = groups.iter().filter(|(group, _)| matches!(group, Group::Domain(origin, _) if *origin == of));
        domains.map(|(_, (_, loss))| *loss).collect()
    };
    let origins: BTreeMap<String, f64> = groups
        .iter()
        .filter_map(|(group, (_, loss))| match group {
            Group::Origin(origin) => Some(((*origin).to_owned(), *loss)),
            _ => None,
        })
        .collect();
    let balanced: Vec<f64> = origins.keys().map(|origin| mean(&of_domains(origin))).collect();
    let loss = groups.get(&Group::All).map_or(f64::NAN, |(_, loss)| *loss);
    ValidationLoss { loss, balanced: mean(&balanced), origins }
}

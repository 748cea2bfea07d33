use crate::{
    stop::StopFlag,
    tokenize::Encoded,
    train::{
        micro_batch::{MicroBatch, targets_of},
        parameters::Parameters,
        passes::{Held, Passes},
        penalty::distillation::{FIGURE, HeldTo},
    },
};

/// A frozen policy that units of a step are held to.
pub(in crate::train) struct Teacher<'a> {
    pub(in crate::train) is: HeldTo,
    /// `None` is the base model.
    pub(in crate::train) parameters: Option<&'a Parameters>,
    /// What the divergence at each target of a unit counts; 0 for units that it does not teach. One teaches each unit at most.
    pub(in crate::train) weights: Vec<f64>,
}

/// What the teachers say of a step.
pub(in crate::train) struct Taught {
    /// Targets of each unit.
    targets: Vec<usize>,
    /// By the place of a unit: its teacher, what it counts, and the teacher's hidden states, `[targets, hidden]`.
    lessons: Vec<Option<(HeldTo, f64, Vec<f32>)>>,
    /// The width of a hidden state.
    width: usize,
    divergences: Divergences,
}

/// What was measured of the divergences of a step.
#[derive(Clone, Debug, Default)]
pub(in crate::train) struct Divergences {
    /// What they add to the loss.
    pub(in crate::train) loss: f64,
    /// Of each teacher, the sum in nats and the targets.
    of_teachers: [(f64, usize); HeldTo::ALL.len()],
}

impl Taught {
    /// Asks the teachers of units, which are of these sequences; `None` where it was asked to stop.
    pub(in crate::train) fn of(
        teachers: &[Teacher<'_>],
        units: &[&[&Encoded]],
        tokens_per_micro_batch: usize,
        passes: &mut Passes<'_>,
        stop: &StopFlag,
    ) -> candle_core::Result<Option<Self>> {
        let targets = |unit: &&[&Encoded]| unit.iter().map(|sequence| targets_of(sequence).count()).sum();
        let targets: Vec<usize> = units.iter().map(targets).collect();
        let mut lessons: Vec<_> = units.iter().map(|_| None).collect();
        let mut width = 0;
        for teacher in teachers {
            let taught: Vec<usize> = (0..units.len()).filter(|at| teacher.weights[*at] > 0.0).collect();
            if taught.is_empty() {
                continue;
            }
            let own: Vec<Vec<&Encoded>> = taught.iter().map(|at| units[*at].to_vec()).collect();
            let mut policy = passes.policy(teacher.parameters)?;
            for row in MicroBatch::plan(&own, tokens_per_micro_batch) {
                if stop.is_raised() {
                    return Ok(None);
                }
                let chosen: Vec<&Encoded> = row.iter().flat_map(|at| own[*at].iter().copied()).collect();
                let micro_batch = MicroBatch::new(&chosen);
                let hidden = policy.hidden(&micro_batch)?;
                width = hidden.len() / micro_batch.targets.len().max(1);
                let mut rest = hidden.as_slice();
                for at in row.into_iter().map(|at| taught[at]) {
                    let (own, others) = rest.split_at(targets[at] * width);
                    rest = others;
                    lessons[at] = Some((teacher.is, teacher.weights[at], own.to_vec()));
                }
            }
        }
        Ok(Some(Self { targets, lessons, width, divergences: Divergences::default() }))
    }

    /// What the targets of some units are held to; `None` where they are to nothing.
    pub(in crate::train) fn held(&self, row: &[usize]) -> Option<Held> {
        if row.iter().all(|at| self.lessons[*at].is_none()) {
            return None;
        }
        let (mut hidden, mut weights) = (Vec::new(), Vec::new());
        for at in row {
            let targets = self.targets[*at];
            let weight = match &self.lessons[*at] {
                Some((_, weight, own)) => {
                    hidden.extend_from_slice(own);
                    *weight
                }
                None => {
                    hidden.resize(hidden.len() + targets * self.width, 0.0);
                    0.0
                }
            };
            weights.resize(weights.len() + targets, weight as f32);
        }
        Some(Held { hidden, weights })
    }

    /// Takes in how far the policy is from its teachers at the targets of some units, and returns what that adds to the loss.
    pub(in crate::train) fn take(&mut self, row: &[usize], divergences: &[f32]) -> f64 {
        let (mut rest, mut loss) = (divergences, 0.0);
        for at in row.iter().filter(|_| !divergences.is_empty()) {
            let (own, others) = rest.split_at(self.targets[*at]);
            rest = others;
            let Some((teacher, weight, _)) = &self.lessons[*at] else { continue };
            let sum: f64 = own.iter().map(|divergence| f64::from(*divergence)).sum();
            let of_teacher = &mut self.divergences.of_teachers[*teacher as usize];
            *of_teacher = (of_teacher.0 + sum, of_teacher.1 + own.len());
            loss += weight * sum;
        }
        self.divergences.loss += loss;
        loss
    }

    pub(in crate::train) fn finish(self) -> Divergences {
        self.divergences
    }
}

impl Divergences {
    /// For metrics.jsonl; nothing where nothing was held.
    pub(in crate::train) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        let held = HeldTo::ALL.into_iter().zip(self.of_teachers).filter(|(_, (_, targets))| *targets > 0);
        let means: Vec<_> = held.map(|(teacher, (sum, targets))| (teacher.figure(), sum / targets as f64)).collect();
        let loss = (!means.is_empty()).then_some((FIGURE, self.loss));
        loss.into_iter().chain(means).map(|(name, value)| (name.to_owned(), value))
    }
}

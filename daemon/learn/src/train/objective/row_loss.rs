use std::collections::BTreeMap;

use super::row_objective::{RowObjective, Sequence, StepSize, UnitLoss};
use crate::train::{
    gradients::{Loss, Targets, Unit},
    penalty::{DistillationConfig, HeldTo},
    shares::{MeanOf, Weights},
};

/// The loss of one step.
pub(in crate::train) struct RowLoss<'s, R: RowObjective> {
    config: &'s R::Config,
    step: StepSize,
    /// Of each unit of the step; empty where the objective does not compare.
    reference: Vec<&'s [Vec<f32>]>,
    /// What the loss of each unit is multiplied by; empty where that is nothing.
    factors: Vec<f64>,
    /// Summed over the units so far.
    figures: Vec<f64>,
}

impl<'s, R: RowObjective> RowLoss<'s, R> {
    pub(in crate::train) fn new(config: &'s R::Config, units: &[Unit<'_>], reference: Vec<&'s [Vec<f32>]>) -> Self {
        let step = StepSize { units: units.len(), targets: units.iter().map(Unit::targets).sum() };
        Self { config, step, reference, factors: Vec::new(), figures: vec![0.0; R::FIGURES.len()] }
    }

    /// With the units, which are these of a run, weighted.
    pub(in crate::train) fn weighted(self, weights: Option<&Weights>, chosen: &[usize]) -> Self {
        let factors = weights.map(|weights| weights.of_step(chosen, self.step.targets)).unwrap_or_default();
        Self { factors, ..self }
    }

    /// What the divergence from this teacher at each target of each unit counts, where `teachers` says whose the units are: what a
    /// target counts in the loss, times the teacher's weight. Only where the loss is a mean over targets.
    pub(in crate::train) fn held(
        &self,
        config: &DistillationConfig,
        teacher: HeldTo,
        teachers: impl Iterator<Item = Option<HeldTo>>,
    ) -> Vec<f64> {
        let weight = match R::MEAN_OF {
            MeanOf::Targets => config.weight(teacher) / self.step.targets as f64,
            MeanOf::Units => 0.0,
        };
        let factors = self.factors.iter().copied().chain(std::iter::repeat(1.0));
        teachers.zip(factors).map(|(own, factor)| if own == Some(teacher) { weight * factor } else { 0.0 }).collect()
    }

    /// The means over the units.
    pub(in crate::train) fn figures(&self) -> BTreeMap<String, f64> {
        let mean = |sum: &f64| sum / self.step.units.max(1) as f64;
        R::FIGURES.iter().zip(&self.figures).map(|(name, sum)| ((*name).to_owned(), mean(sum))).collect()
    }
}

impl<R: RowObjective> Loss for RowLoss<'_, R> {
    fn add(&mut self, at: usize, sequences: &[Targets<'_>], slopes: &mut Vec<f32>) -> f64 {
        let reference = self.reference.get(at).copied().unwrap_or_default();
        let references = reference.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        let unit: Vec<Sequence<'_>> = sequences
            .iter()
            .zip(references)
            .map(|(targets, reference)| Sequence { logprobs: targets.logprobs, reference })
            .collect();
        let first = slopes.len();
        let UnitLoss { value, figures } = R::loss(self.config, &self.step, &unit, slopes);
        self.figures.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        let Some(factor) = self.factors.get(at) else { return value };
        slopes.iter_mut().skip(first).for_each(|slope| *slope = (f64::from(*slope) * factor) as f32);
        value * factor
    }
}

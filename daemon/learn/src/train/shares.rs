//! Shares of the loss: how much each group of units counts, whatever their number and the length of their answers.
//!
//! Weights are made once, over all units of a run, and not batch by batch. A batch of eight has one unit of a group with a share of
//! a tenth, or none: normalised by itself, it would either have no such term, so that the share would be too small on average, or
//! give a single unit the whole share, so that an answer of two tokens would count as much as one of two hundred elsewhere. With
//! weights over the run the share is right on average over an epoch, by construction, and each token of a group counts the same
//! wherever it comes. What is left of the variance, batches without a group, is kept small by dealing the groups evenly
//! (`batches.rs`).

use serde::{Deserialize, Serialize};

use super::{TrainError, canonical::Canonical, micro_batch::targets_of};
use crate::tokenize::Encoded;

/// What counts the same within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossWeighting {
    /// Every token: the loss of a group is the mean over its tokens, so that longer answers count for more.
    #[default]
    Tokens,
    /// Every row: it is the mean over its rows of the means over their tokens.
    Rows,
}

impl LossWeighting {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Rows => "rows",
        }
    }
}

/// Which share of the loss each group of units has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// The group of each unit, as a place in `of_group`.
    pub groups: Vec<usize>,
    /// The share of each group, above 0. They need not sum up to 1: what counts is how they stand to each other among the groups
    /// that have units.
    pub of_group: Vec<f64>,
    /// What counts the same within a group.
    pub weighting: LossWeighting,
}

/// A unit counts for at most so many times the mean unit on average over its group. A group that is too small for its share under
/// this bound has less: a few rows that are all that is left of a domain would otherwise be most of the loss of their batches.
pub const WEIGHT_MAX: f64 = 8.0;

/// What the loss of an objective is the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train) enum MeanOf {
    /// Targets of the batch.
    Targets,
    /// Units of the batch.
    Units,
}

impl Shares {
    /// The shares as they are trained on: of the groups that have units, summing up to 1, and within [`WEIGHT_MAX`].
    ///
    /// # Panics
    /// Where a group is no place in `of_group`.
    pub fn effective(&self) -> Vec<f64> {
        let mut counts = vec![0.0_f64; self.of_group.len()];
        self.groups.iter().for_each(|group| counts[*group] += 1.0);
        let units = self.groups.len().max(1) as f64;
        let caps: Vec<f64> = counts.iter().map(|count| WEIGHT_MAX * count / units).collect();
        let mut capped = vec![false; counts.len()];
        loop {
            let sum = |of: &dyn Fn(usize) -> f64| (0..counts.len()).map(of).sum::<f64>();
            let free = 1.0 - sum(&|group| if capped[group] { caps[group] } else { 0.0 });
            let wanted = sum(&|group| if capped[group] || counts[group] == 0.0 { 0.0 } else { self.of_group[group] });
            let share = |group: usize| match (capped[group], counts[group] == 0.0) {
                (_, true) => 0.0,
                (true, _) => caps[group],
                (false, _) => self.of_group[group] / wanted * free,
            };
            let shares: Vec<f64> = (0..counts.len()).map(share).collect();
            // One more is held to its bound each time, so there is an end to it.
            match (0..shares.len()).find(|group| !capped[*group] && shares[*group] > caps[*group]) {
                Some(group) => capped[group] = true,
                None => return shares,
            }
        }
    }

    /// Whether the loss is another than the plain mean.
    fn matter(&self) -> bool {
        let first = self.groups.first();
        self.weighting != LossWeighting::default() || self.groups.iter().any(|group| Some(group) != first)
    }

    /// That each of so many units is of a group, and each of those has a share.
    fn check(&self, units: usize) -> Result<(), TrainError> {
        let has_share =
            |group: &usize| self.of_group.get(*group).is_some_and(|share| *share > 0.0 && share.is_finite());
        match self.groups.len() == units && self.groups.iter().all(has_share) {
            true => Ok(()),
            false => {
                Err(TrainError::Config { key: "shares", rule: "must have a group for each unit, with a share above 0" })
            }
        }
    }
}

/// What each unit counts: the loss of a batch of n units is 1/n · Σ over them of weight · Σ over its terms, which are its targets,
/// or itself.
#[derive(Debug)]
pub(in crate::train) struct Weights {
    of_units: Vec<f64>,
    groups: Vec<usize>,
    shares: Vec<f64>,
    weighting: LossWeighting,
    mean_of: MeanOf,
}

impl Weights {
    /// Of these units; `None` where they count as they do without any.
    ///
    /// With M units in all, M_g of them in group g with N_g targets, the mean over all units of weight · terms is
    /// Σ_g share_g · mean_g for weights share_g · M / N_g (tokens) or share_g · M / (M_g · targets of the unit) (rows).
    ///
    /// # Errors
    /// Where the shares are of other units than these.
    pub(in crate::train) fn of(
        units: &[Vec<Encoded>],
        shares: Option<&Shares>,
        mean_of: MeanOf,
    ) -> Result<Option<Self>, TrainError> {
        let Some(shares) = shares else { return Ok(None) };
        shares.check(units.len())?;
        if !shares.matter() {
            return Ok(None);
        }
        let Shares { groups, weighting, .. } = shares;
        let terms = |unit: &Vec<Encoded>| match mean_of {
            MeanOf::Targets => unit.iter().map(|sequence| targets_of(sequence).count()).sum::<usize>() as f64,
            MeanOf::Units => 1.0,
        };
        let all = units.len() as f64;
        let of_group = shares.effective();
        let (mut counts, mut sums) = (vec![0.0; of_group.len()], vec![0.0; of_group.len()]);
        for (unit, group) in units.iter().zip(groups) {
            counts[*group] += 1.0;
            sums[*group] += terms(unit);
        }
        let weight = |(unit, group): (&Vec<Encoded>, &usize)| match weighting {
            LossWeighting::Tokens => of_group[*group] * all / sums[*group],
            LossWeighting::Rows => of_group[*group] * all / (counts[*group] * terms(unit)),
        };
        let of_units = units.iter().zip(groups).map(weight).collect();
        Ok(Some(Self { of_units, groups: groups.clone(), shares: of_group, weighting: *weighting, mean_of }))
    }

    /// The group of each unit.
    pub(in crate::train) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// What the loss of each of these units in a step, as the objective has it, is to be multiplied by.
    pub(in crate::train) fn of_step(&self, chosen: &[usize], targets: usize) -> Vec<f64> {
        let per_unit = match self.mean_of {
            MeanOf::Targets => targets as f64 / chosen.len() as f64,
            MeanOf::Units => 1.0,
        };
        chosen.iter().map(|unit| self.of_units[*unit] * per_unit).collect()
    }

    pub(in crate::train) fn write(&self, canonical: &mut Canonical) {
        canonical.word("loss_weighting", self.weighting.as_str());
        self.shares.iter().for_each(|share| canonical.real("share", *share));
        self.groups.iter().for_each(|group| canonical.count("group", *group as u64));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::train::{TrainConfig, batches::Batches};

    fn unit(targets: usize) -> Vec<Encoded> {
        vec![Encoded { tokens: vec![7; targets + 1], supervised: vec![true; targets + 1] }]
    }

    /// New and replayed rows and answers of the base, by number and length of their answers.
    fn mix(described: &[(usize, usize)]) -> (Vec<Vec<Encoded>>, Vec<usize>) {
        let rows = described.iter().enumerate();
        rows.flat_map(|(group, (count, targets))| vec![(unit(*targets), group); *count]).unzip()
    }

    /// The share of each group in the loss of an epoch, where every target costs the same, and the smallest and the largest
    /// loss of a step as parts of the mean.
    fn measured(units: &[Vec<Encoded>], groups: &[usize], shares: Option<&Shares>) -> (Vec<f64>, f64, f64) {
        let weights = Weights::of(units, shares, MeanOf::Targets).unwrap();
        let config = TrainConfig::default();
        let mut batches = Batches::new(&config, units.len(), weights.as_ref().map(Weights::groups));
        let (mut sums, mut steps) = (vec![0.0; 3], Vec::new());
        for step in 0..batches.steps() {
            let chosen = batches.batch(step).to_vec();
            let targets = |at: &usize| units[*at][0].tokens.len() - 1;
            let all: usize = chosen.iter().map(targets).sum();
            let factors = weights.as_ref().map_or(vec![1.0; chosen.len()], |weights| weights.of_step(&chosen, all));
            let parts =
                chosen.iter().zip(factors).map(|(at, factor)| (groups[*at], factor * targets(at) as f64 / all as f64));
            let parts: Vec<(usize, f64)> = parts.collect();
            // The last batch may be smaller, and counts as much as it has units.
            parts.iter().for_each(|(group, part)| sums[*group] += part * chosen.len() as f64);
            steps.push(parts.iter().map(|(_, part)| part).sum::<f64>());
        }
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        let all: f64 = sums.iter().sum();
        let least = steps.iter().copied().fold(f64::MAX, f64::min) / mean;
        let most = steps.iter().copied().fold(f64::MIN, f64::max) / mean;
        (sums.into_iter().map(|sum| sum / all).collect(), least, most)
    }

    /// The share of new and replayed rows and answers of the base in the loss of an epoch of 700, 200 and 100 rows, where 70, 20
    /// and 10 % are configured, without shares and with them:
    ///
    /// | targets of an answer | without          | with             |
    /// |----------------------|------------------|------------------|
    /// | 2, 2, 2              | 70.0, 20.0, 10.0 | 70.0, 20.0, 10.0 |
    /// | 2, 2, 40             | 41.4, 12.8, 45.9 | 70.0, 20.0, 10.0 |
    /// | 2, 60, 40            | 14.3, 60.3, 25.5 | 70.0, 20.0, 10.0 |
    /// | 200, 3, 40           | 96.3,  0.5,  3.2 | 70.0, 20.0, 10.0 |
    ///
    /// Of 20 long replayed rows beside 980 short ones, 20 % would be ten times the mean for each: the bound leaves 16 %.
    #[test]
    fn shares_are_those_configured_whatever_the_lengths() {
        for lengths in [[2, 2, 2], [2, 2, 40], [2, 60, 40], [200, 3, 40]] {
            let (units, groups) = mix(&[(700, lengths[0]), (200, lengths[1]), (100, lengths[2])]);
            let shares = Shares { groups: groups.clone(), of_group: vec![0.7, 0.2, 0.1], ..Shares::default() };
            for weighting in [LossWeighting::Tokens, LossWeighting::Rows] {
                let shares = Shares { weighting, ..shares.clone() };
                let (found, least, most) = measured(&units, &groups, Some(&shares));
                for (found, expected) in found.iter().zip(&shares.of_group) {
                    assert!((found - expected).abs() < 1e-9, "{lengths:?} {found} {expected}");
                }
                // Groups come evenly, so that no step is far from the others.
                assert!(least > 0.85 && most < 1.15, "{lengths:?} {least} {most}");
            }
            let (found, ..) = measured(&units, &groups, None);
            assert!(lengths == [2, 2, 2] || (found[2] - 0.1).abs() > 0.02, "{lengths:?} {found:?}");
        }
        let (units, groups) = mix(&[(980, 2), (20, 200)]);
        let shares = Shares { groups: groups.clone(), of_group: vec![0.8, 0.2], ..Shares::default() };
        let (found, ..) = measured(&units, &groups, Some(&shares));
        assert!((found[1] - 0.16).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn one_group_counts_as_without_any() {
        let (units, groups) = mix(&[(5, 3)]);
        let shares = Shares { groups, of_group: vec![0.7, 0.3], ..Shares::default() };
        let weights = |shares: Option<&Shares>| Weights::of(&units, shares, MeanOf::Targets).unwrap();
        assert!(weights(Some(&shares)).is_none() && weights(None).is_none());
        assert!(weights(Some(&Shares { weighting: LossWeighting::Rows, ..shares })).is_some());
    }

    #[test]
    fn shares_of_other_units_are_refused() {
        let (units, groups) = mix(&[(3, 2), (2, 2)]);
        let good = Shares { groups, of_group: vec![0.7, 0.3], ..Shares::default() };
        let refused = |shares: &Shares| Weights::of(&units, Some(shares), MeanOf::Targets).is_err();
        assert!(!refused(&good));
        assert!(refused(&Shares { groups: vec![0; 4], ..good.clone() }));
        assert!(refused(&Shares { groups: vec![0, 0, 0, 1, 2], ..good.clone() }));
        assert!(refused(&Shares { of_group: vec![0.7, 0.0], ..good }));
    }

    proptest! {
        #[test]
        fn shares_sum_up_and_stay_within_the_bound(
            groups in prop::collection::vec(0_usize..3, 1..200), of_group in prop::collection::vec(0.01_f64..1.0, 3),
        ) {
            let shares = Shares { groups: groups.clone(), of_group, ..Shares::default() };
            let found = shares.effective();
            prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", found);
            for (group, share) in found.iter().enumerate() {
                let count = groups.iter().filter(|other| **other == group).count() as f64;
                prop_assert!(*share <= WEIGHT_MAX * count / groups.len() as f64 + 1e-9);
                prop_assert!((count > 0.0) == (*share > 0.0));
            }
        }
    }
}

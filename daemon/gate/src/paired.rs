use std::collections::BTreeMap;

use crate::{Metric, RewardScale, bootstrap::Unit, flips, metric::perplexity::NATS_PER_TOKEN_MAX, random::Random};

/// The difference of the two sides on one item, and how much the item counts in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Candidate minus champion.
    pub value: f64,
    /// The item's tokens where the mean is of tokens, else 1. Above 0.
    pub weight: f64,
}

impl From<f64> for Difference {
    fn from(value: f64) -> Self {
        Self { value, weight: 1.0 }
    }
}

/// What a difference can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// −1, 0 or 1: an item is right or wrong.
    Binary,
    /// Anything between scores that can be so far apart.
    Graded {
        /// The furthest that two scores of an item can be apart.
        reach: f64,
    },
    /// Nats per token, which have no reach to speak of.
    Nats {
        /// The suite's margin, by which goes what an item that was not seen is taken to lose.
        margin: f64,
    },
}

/// How many margins of nats an item that was not seen is taken to lose: as for a yes/no suite with a margin of 0.1, whose
/// items lose ten at most.
const NATS_UNSEEN_MARGINS: f64 = 10.0;

impl Scale {
    /// The scale of a metric; `margin` is the suite's.
    pub fn of(metric: Metric, reward: Option<&RewardScale>, margin: f64) -> Self {
        match (metric, reward) {
            (Metric::Perplexity, _) => Self::Nats { margin },
            (_, Some(reward)) => Self::Graded { reach: reward.max - reward.min },
            _ if metric.is_binary() => Self::Binary,
            _ => Self::Graded { reach: 1.0 },
        }
    }

    /// The furthest that two scores of an item can be apart.
    pub fn reach(self) -> f64 {
        match self {
            Self::Binary => 1.0,
            Self::Graded { reach } => reach,
            Self::Nats { .. } => NATS_PER_TOKEN_MAX,
        }
    }

    /// What margins that are given as shares of a score are shares of: its range, or a nat.
    pub(crate) fn unit(self) -> f64 {
        if let Self::Graded { reach } = self { reach } else { 1.0 }
    }

    /// What an item that was not seen is taken to lose, unless one that was seen did more.
    fn unseen(self) -> f64 {
        match self {
            Self::Nats { margin } => (NATS_UNSEEN_MARGINS * margin).min(NATS_PER_TOKEN_MAX),
            _ => self.reach(),
        }
    }
}

/// The differences of two sides on the items of one suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    scale: Scale,
    differences: Vec<Difference>,
    /// The cluster of each item and how many there are, where not every item stands alone.
    clusters: Option<(Vec<usize>, usize)>,
}

impl Default for Paired {
    fn default() -> Self {
        Self::new(Scale::Binary, Vec::new())
    }
}

/// Standard errors between no difference and one that is found 4 times in 5 at a level of 5 in 100: 1.645 + 0.842.
pub(crate) const SEEN_ERRORS: f64 = 2.49;

impl Paired {
    /// Of items that stand alone. Differences must be finite; on a binary scale they count by their sign.
    pub fn new(scale: Scale, differences: Vec<Difference>) -> Self {
        Self { scale, differences, clusters: None }
    }

    /// Of items that share prompts or templates: those with equal numbers are resampled together. One number for each item.
    #[must_use]
    pub fn in_clusters(mut self, clusters: Vec<usize>) -> Self {
        let mut known = BTreeMap::new();
        let numbered: Vec<usize> = clusters
            .into_iter()
            .map(|cluster| {
                let next = known.len();
                *known.entry(cluster).or_insert(next)
            })
            .collect();
        let is_apart = known.len() == numbered.len();
        self.clusters = (!is_apart && numbered.len() == self.differences.len()).then_some((numbered, known.len()));
        self
    }

    /// How many items both were asked.
    pub fn len(&self) -> usize {
        self.differences.len()
    }

    /// Whether nothing was compared.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// The items on which the two sides differ.
    pub fn discordant(&self) -> usize {
        self.differences.iter().filter(|difference| difference.value != 0.0).count()
    }

    /// `Σ w d / Σ w`; 0 of nothing.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.differences.iter().map(|difference| difference.weight * difference.value).sum();
        if self.is_empty() { 0.0 } else { sum / self.weights() }
    }

    /// The chance of a mean as low as this one or lower if the two sides were alike: small where harm is shown.
    pub fn harm(&self, seed: u64, salt: &str) -> f64 {
        self.chance(1.0, seed, salt)
    }

    /// The chance of a mean as high as this one or higher if the two sides were alike: small where a gain is shown.
    pub fn gain(&self, seed: u64, salt: &str) -> f64 {
        self.chance(-1.0, seed, salt)
    }

    fn chance(&self, sign: f64, seed: u64, salt: &str) -> f64 {
        match self.counts() {
            Some((gains, losses)) if sign > 0.0 => flips::binomial(gains, losses),
            Some((gains, losses)) => flips::binomial(losses, gains),
            None => {
                let sums: Vec<f64> = self.units(sign).iter().map(|unit| unit.sum).collect();
                flips::sampled(&sums, Random::salted(seed, salt))
            }
        }
    }

    /// The smallest difference that a comparison of so many items with so much unrest could have seen: shown in 4 of 5 cases
    /// at a level of 5 in 100. Of yes/no items `2.49 · sqrt(churn / n)`, where the churn is the share that differs, counting
    /// one item more. `None` of nothing.
    pub fn smallest_seen(&self) -> Option<f64> {
        if self.is_empty() {
            return None;
        }
        let weights = self.weights();
        let unseen = weights / self.len() as f64 * self.unseen(1.0).max(self.unseen(-1.0));
        let squares: f64 = self.units(1.0).iter().map(|unit| unit.sum.powi(2)).sum();
        Some((SEEN_ERRORS * (squares + unseen.powi(2)).sqrt() / weights).min(self.reach()))
    }

    /// The variance of a difference beside a loss of so much: of yes/no items the share that differs and the loss itself.
    pub(crate) fn variance_with(&self, loss: f64) -> f64 {
        let heavy = self.weights() / self.len().max(1) as f64;
        let squares: f64 = self.units(1.0).iter().map(|unit| (unit.sum / heavy).powi(2)).sum();
        let own = if self.is_empty() { 0.0 } else { squares / self.len() as f64 };
        own + if self.scale == Scale::Binary { loss } else { loss * loss }
    }

    /// Gains and losses, where counts are all there is to know.
    pub(crate) fn counts(&self) -> Option<(usize, usize)> {
        if self.scale != Scale::Binary || self.clusters.is_some() {
            return None;
        }
        let count = |is: fn(&f64) -> bool| self.differences.iter().filter(|difference| is(&difference.value)).count();
        Some((count(|value| *value > 0.0), count(|value| *value < 0.0)))
    }

    /// Several suites as one, each difference in units of its suite's margin (above 0) and each suite's items of the same
    /// weight on average. Yes/no suites of one margin stay what they are: there, only signs count.
    pub(crate) fn joined(suites: &[(&Self, f64)]) -> Self {
        let first = suites.first().map_or(1.0, |(_, margin)| *margin);
        let is_binary = suites.iter().all(|(suite, margin)| suite.counts().is_some() && *margin == first);
        let is_clustered = suites.iter().any(|(suite, _)| suite.clusters.is_some());
        let reach = suites.iter().map(|(suite, margin)| suite.scale.unseen() / margin).fold(0.0, f64::max);
        let (mut differences, mut clusters, mut known) = (Vec::new(), Vec::new(), 0);
        for (suite, margin) in suites {
            let heavy = suite.weights() / suite.len().max(1) as f64;
            let unit = if is_binary { 1.0 } else { *margin };
            let scaled = suite
                .differences
                .iter()
                .map(|Difference { value, weight }| Difference { value: value / unit, weight: weight / heavy });
            differences.extend(scaled);
            if !is_clustered {
                continue;
            }
            let (own, count) = match &suite.clusters {
                Some((own, count)) => (own.clone(), *count),
                None => ((0..suite.len()).collect(), suite.len()),
            };
            clusters.extend(own.into_iter().map(|cluster| known + cluster));
            known += count;
        }
        let scale = if is_binary { Scale::Binary } else { Scale::Graded { reach } };
        Self { scale, differences, clusters: is_clustered.then_some((clusters, known)) }
    }

    /// What is drawn and flipped as a whole, with this sign.
    pub(crate) fn units(&self, sign: f64) -> Vec<Unit> {
        let unit = |difference: &Difference| Unit {
            sum: sign * difference.weight * difference.value,
            weight: difference.weight,
        };
        let Some((clusters, count)) = &self.clusters else {
            return self.differences.iter().map(unit).collect();
        };
        let mut units = vec![Unit { sum: 0.0, weight: 0.0 }; *count];
        for (difference, cluster) in self.differences.iter().zip(clusters) {
            let Unit { sum, weight } = unit(difference);
            units[*cluster].sum += sum;
            units[*cluster].weight += weight;
        }
        units
    }

    /// What an unseen item loses (or, with a sign of −1, gains). Losses alone raise it, so that a gain never does harm.
    pub(crate) fn unseen(&self, sign: f64) -> f64 {
        let worst = self.differences.iter().map(|difference| -sign * difference.value);
        worst.fold(self.scale.unseen(), f64::max)
    }

    pub(crate) fn has_losses(&self) -> bool {
        self.differences.iter().any(|difference| difference.value < 0.0)
    }

    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }

    fn reach(&self) -> f64 {
        self.scale.reach()
    }

    fn weights(&self) -> f64 {
        self.differences.iter().map(|difference| difference.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(gains: usize, losses: usize, ties: usize) -> Paired {
        let values = [vec![1.0; gains], vec![-1.0; losses], vec![0.0; ties]].concat();
        Paired::new(Scale::Binary, values.into_iter().map(Difference::from).collect())
    }

    #[test]
    fn edges_say_nothing_alone() {
        for (gains, losses, ties) in [(0, 0, 0), (0, 0, 1), (0, 0, 9), (1, 0, 0), (1, 0, 9)] {
            assert_eq!(binary(gains, losses, ties).harm(0, "s"), 1.0);
        }
        assert_eq!(binary(0, 1, 0).harm(0, "s"), 0.5);
        assert!(binary(4, 0, 0).gain(0, "s") > 0.05 && binary(5, 0, 90).gain(0, "s") < 0.05);
        assert_eq!(binary(0, 0, 0).smallest_seen(), None);
    }

    #[test]
    fn the_smallest_difference_goes_by_churn_and_items() {
        // 2.49 · sqrt(20.. + 1) / 200.
        let seen = binary(10, 10, 180).smallest_seen().unwrap();
        assert!((seen - 2.49 * 21_f64.sqrt() / 200.0).abs() < 1e-12, "{seen}");
        assert_eq!(binary(0, 1, 0).smallest_seen(), Some(1.0));
    }

    #[test]
    fn clusters_are_flipped_together() {
        let alone = binary(0, 10, 0);
        let together = binary(0, 10, 0).in_clusters(vec![0; 10]);
        assert!(alone.harm(0, "s") < 0.002 && (together.harm(0, "s") - 0.5).abs() < 0.1);
        assert_eq!(binary(2, 1, 0).in_clusters(vec![0, 1, 2]), binary(2, 1, 0), "each alone");
    }
}

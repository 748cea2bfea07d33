//! How certain a number is: the same items, orders and seeds drawn anew, for all arms alike, so that a difference between two arms
//! is paired (Efron and Tibshirani 1993, chapters 8 and 13: the percentile interval).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    formulas::mean,
    observed::{Observed, Weights},
    statistics::STATISTICS,
};
use crate::random::Random;

/// How often everything is drawn anew.
pub(super) const RESAMPLES: usize = 2000;
/// The probability that an interval leaves out, half of it on each side.
const LEFT_OUT: f64 = 0.05;
/// The least share of resamples in which a number must exist to have an interval.
const DEFINED_MIN: f64 = 0.9;

/// A number and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// Both ends; none where it does not exist in enough resamples.
    pub(super) interval: Option<(f64, f64)>,
}

/// A number as it was measured, and as it is in each resample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replicates {
    measured: Option<f64>,
    drawn: Vec<Option<f64>>,
}

/// What is drawn: how often each item counts, and which runs, by numbers whose remainder is a run's place among those that there are.
struct Resample {
    items: BTreeMap<String, Vec<f64>>,
    runs: Vec<usize>,
}

/// The numbers that runs are drawn by lie below this, far above how many runs there are.
const RUN_NUMBERS: usize = 1 << 30;

/// The statistics of one run: as measured, and in each resample.
struct OfRun {
    measured: Vec<Option<f64>>,
    drawn: Vec<Vec<Option<f64>>>,
}

/// All resamples of a stream.
pub(super) struct Bootstrap {
    resamples: Vec<Resample>,
}

impl Bootstrap {
    /// Draws for suites of so many items, and so many runs of an arm.
    pub(super) fn new(suites: &BTreeMap<String, usize>, runs: usize) -> Self {
        let draw = |number: usize| {
            let mut random = Random::new(number as u64);
            let items = suites.iter().map(|(suite, items)| (suite.clone(), counts(&mut random, *items))).collect();
            Resample { items, runs: (0..runs).map(|_| random.below(RUN_NUMBERS)).collect() }
        };
        Self { resamples: (0..RESAMPLES).map(draw).collect() }
    }

    /// Every statistic of an arm, by its place in [`STATISTICS`]: the mean over its runs. `runs` has one for each order and seed of
    /// the stream, in the same order for every arm; one that was not measured is none.
    pub(super) fn of_arm(&self, runs: &[Option<&Observed>]) -> Vec<Vec<Replicates>> {
        let runs: Vec<Option<OfRun>> = runs.iter().map(|run| run.map(|run| self.of_run(run))).collect();
        let of = |place: usize| {
            let each = runs.iter().map(|run| match run {
                Some(run) => Replicates {
                    measured: run.measured[place],
                    drawn: run.drawn.iter().map(|values| values[place]).collect(),
                },
                None => Replicates::default(),
            });
            each.collect()
        };
        (0..STATISTICS.len()).map(of).collect()
    }

    fn of_run(&self, run: &Observed) -> OfRun {
        let statistics = |weights: Weights<'_>| {
            let means = run.means(weights);
            STATISTICS.iter().map(|statistic| (statistic.of)(&means)).collect()
        };
        let drawn = self.resamples.iter();
        let drawn = drawn.map(|resample| statistics(&|suite| resample.items.get(suite).map(Vec::as_slice))).collect();
        OfRun { measured: statistics(&|_| None), drawn }
    }

    /// The mean over runs, with its interval.
    pub(super) fn estimate(&self, runs: &[Replicates]) -> Option<Estimate> {
        let there: Vec<&Replicates> = runs.iter().filter(|run| run.measured.is_some()).collect();
        let value = mean(there.iter().map(|run| run.measured))?;
        let drawn = self.resamples.iter().enumerate().filter_map(|(at, resample)| {
            let numbers = resample.runs.iter().take(there.len());
            mean(numbers.map(|number| *there[number % there.len()].drawn.get(at)?))
        });
        let mut drawn: Vec<f64> = drawn.collect();
        drawn.sort_by(f64::total_cmp);
        let is_defined = drawn.len() as f64 >= DEFINED_MIN * self.resamples.len() as f64;
        let interval = is_defined.then(|| (quantile(&drawn, LEFT_OUT / 2.0), quantile(&drawn, 1.0 - LEFT_OUT / 2.0)));
        Some(Estimate { value, interval: interval.and_then(|(low, high)| Some((low?, high?))) })
    }
}

/// One arm without another, run by run.
pub(super) fn differences(one: &[Replicates], other: &[Replicates]) -> Vec<Replicates> {
    combine(one, other, |one, other| Some(one - other))
}

/// One arm as a share of another, run by run.
pub(super) fn ratios(one: &[Replicates], other: &[Replicates]) -> Vec<Replicates> {
    combine(one, other, |one, other| Some(one / other))
}

/// One arm with another, run by run; what is no number is none.
pub(super) fn combine(
    one: &[Replicates],
    other: &[Replicates],
    with: impl Fn(f64, f64) -> Option<f64>,
) -> Vec<Replicates> {
    let both = |one: &Option<f64>, other: &Option<f64>| with((*one)?, (*other)?).filter(|value| value.is_finite());
    let of_run = |(one, other): (&Replicates, &Replicates)| Replicates {
        measured: both(&one.measured, &other.measured),
        drawn: one.drawn.iter().zip(&other.drawn).map(|(one, other)| both(one, other)).collect(),
    };
    one.iter().zip(other).map(of_run).collect()
}

/// How often each of so many items is drawn, when as many are drawn with replacement.
fn counts(random: &mut Random, items: usize) -> Vec<f64> {
    let mut counts = vec![0.0; items];
    for _ in 0..items {
        counts[random.below(items)] += 1.0;
    }
    counts
}

/// The value below which this share of the sorted ones lies.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (share * (sorted.len().checked_sub(1)?) as f64).round() as usize;
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            arm::Shape,
            journal::{Entry, Scored, tests::entry},
            observed::tests::suites,
            statistics::{DECIDES, place},
        },
        *,
    };

    /// A run of one task with these scores.
    fn observed(scores: &[f64]) -> Observed {
        let items = scores.iter().map(|score| Scored(Some(*score), None)).collect();
        let entry = Entry { scores: BTreeMap::from([("a".to_owned(), items)]), ..entry(1, "a", &[]) };
        Observed::new(Shape::Sequence, suites(&["a"]), &[entry], None)
    }

    fn of(bootstrap: &Bootstrap, runs: &[Option<&Observed>]) -> Vec<Replicates> {
        bootstrap.of_arm(runs).swap_remove(place(DECIDES).unwrap())
    }

    #[test]
    fn an_interval_of_a_share_is_as_wide_as_the_binomials() {
        let half: Vec<f64> = (0..100).map(|at| f64::from(at % 2)).collect();
        let bootstrap = Bootstrap::new(&BTreeMap::from([("a".to_owned(), 100)]), 1);
        let estimate = bootstrap.estimate(&of(&bootstrap, &[Some(&observed(&half))])).unwrap();
        let (low, high) = estimate.interval.unwrap();
        // 1.96 · √(0.25 / 100) = 0.098
        assert_eq!(estimate.value, 0.5);
        assert!((0.08..0.12).contains(&(0.5 - low)) && (0.08..0.12).contains(&(high - 0.5)), "{low} {high}");
    }

    #[test]
    fn pairs_cancel_what_both_have_in_common() {
        let one: Vec<f64> = (0..100).map(|at| f64::from(at % 2)).collect();
        let other: Vec<f64> = one.iter().map(|score| score - 0.1).collect();
        let bootstrap = Bootstrap::new(&BTreeMap::from([("a".to_owned(), 100)]), 1);
        let (one, other) = (observed(&one), observed(&other));
        let difference = differences(&of(&bootstrap, &[Some(&one)]), &of(&bootstrap, &[Some(&other)]));
        let estimate = bootstrap.estimate(&difference).unwrap();
        let (low, high) = estimate.interval.unwrap();
        assert!((low - 0.1).abs() < 1e-9 && (high - 0.1).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn runs_are_drawn_too_and_one_that_is_missing_is_left_out() {
        let (low, high) = (observed(&[0.0]), observed(&[1.0]));
        let bootstrap = Bootstrap::new(&BTreeMap::from([("a".to_owned(), 1)]), 2);
        let both = bootstrap.estimate(&of(&bootstrap, &[Some(&low), Some(&high)])).unwrap();
        assert_eq!((both.value, both.interval), (0.5, Some((0.0, 1.0))));
        let one = of(&bootstrap, &[None, Some(&high)]);
        assert_eq!(bootstrap.estimate(&one), Some(Estimate { value: 1.0, interval: Some((1.0, 1.0)) }));
        assert_eq!(bootstrap.estimate(&of(&bootstrap, &[None, None])), None);
        assert_eq!(bootstrap.estimate(&differences(&one, &of(&bootstrap, &[Some(&low), None]))), None);
        assert_eq!(bootstrap.estimate(&ratios(&one, &of(&bootstrap, &[None, Some(&low)]))), None, "divided by 0");
    }
}

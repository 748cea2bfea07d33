//! From what was scored to what is said of it.

use std::collections::BTreeMap;

use super::{
    arm::{Arm, Shape},
    bootstrap::{self, Bootstrap, Estimate, Replicates},
    formulas,
    journal::{Entry, Scores},
    matrix::Matrix,
    observed::Observed,
    plan::{Key, Run},
    results::{ArmKept, Comparison, RunKept, StepKept},
    statistics::{self, DECIDES, STATISTICS},
};

/// The arm that the others are compared with.
pub(super) const NAIVE: &str = "naive";
/// The arm whose comparison with it decides.
pub(super) const DEFAULT: &str = "default";
/// The arm that intransigence is measured by.
const JOINT: &str = "joint";

/// A run and what is done of it.
pub(super) struct Done<'a> {
    pub(super) run: Run<'a>,
    pub(super) entries: Vec<Entry>,
    pub(super) observed: Observed,
}

impl<'a> Done<'a> {
    /// The scores of a run's steps; `base` is the base model's, of any run, for those that have none.
    pub(super) fn new(
        run: Run<'a>,
        entries: Vec<Entry>,
        suites: super::observed::Suites,
        base: Option<&Scores>,
    ) -> Self {
        let base = base.filter(|_| run.arm.recipe.shape == Shape::Base);
        let observed = Observed::new(run.arm.recipe.shape, suites, &entries, base);
        Self { run, entries, observed }
    }
}

/// Every arm, with the one comparison that decides. `keys` are the orders and seeds of the stream.
pub(super) fn summarise(
    arms: &[Arm],
    done: &[Done<'_>],
    keys: &[Key],
    unknown: &BTreeMap<String, Vec<String>>,
) -> (Vec<ArmKept>, Option<Comparison>) {
    let mut suites: BTreeMap<String, usize> = BTreeMap::new();
    for observed in done.iter().map(|done| &done.observed) {
        let all = &observed.suites;
        let named = all.tasks.iter().chain(&all.general).chain(&all.likelihoods).map(String::as_str);
        for suite in named.chain([super::observed::LIKENESS]) {
            suites.extend(observed.items(suite).map(|items| (suite.to_owned(), items)));
        }
    }
    let bootstrap = Bootstrap::new(&suites, keys.len());
    let mut replicates: BTreeMap<&str, Vec<Vec<Replicates>>> = BTreeMap::new();
    for arm in arms {
        let beside = |key: &Key| done.iter().find(|done| done.run.arm == arm && done.run.beside(*key));
        let runs: Vec<Option<&Observed>> = keys.iter().map(|key| beside(key).map(|done| &done.observed)).collect();
        replicates.insert(&arm.name, bootstrap.of_arm(&runs));
    }
    let kept = arms.iter().map(|arm| keep(arm, done, &bootstrap, &replicates, unknown)).collect();
    (kept, decide(done, &bootstrap, &replicates))
}

fn decide(
    done: &[Done<'_>],
    bootstrap: &Bootstrap,
    replicates: &BTreeMap<&str, Vec<Vec<Replicates>>>,
) -> Option<Comparison> {
    let place = statistics::place(DECIDES)?;
    let acc = |arm: &str| replicates.get(arm)?.get(place);
    let difference = bootstrap.estimate(&bootstrap::differences(acc(DEFAULT)?, acc(NAIVE)?))?;
    let of = |arm: &'static str| done.iter().filter(move |done| done.run.arm.name == arm);
    let pairs = of(DEFAULT)
        .flat_map(|one| of(NAIVE).filter(|other| other.run.key == one.run.key).map(move |other| (one, other)));
    let whole = pairs.filter(|(one, other)| [one, other].iter().all(|done| done.entries.len() == done.run.steps.len()));
    let steps = |done: &Done<'_>| done.entries.iter().filter_map(|entry| entry.optimiser_steps).sum::<u64>();
    let steps = whole.fold((0, 0), |sums, (one, other)| (sums.0 + steps(one), sums.1 + steps(other)));
    Some(Comparison { arm: DEFAULT.to_owned(), against: NAIVE.to_owned(), difference, steps })
}

fn keep(
    arm: &Arm,
    done: &[Done<'_>],
    bootstrap: &Bootstrap,
    replicates: &BTreeMap<&str, Vec<Vec<Replicates>>>,
    unknown: &BTreeMap<String, Vec<String>>,
) -> ArmKept {
    let runs = done.iter().filter(|done| done.run.arm == arm);
    let runs: Vec<RunKept> = runs
        .map(|done| RunKept {
            order: arm.has_order().then_some(done.run.key.order + 1),
            seed: done.run.key.seed,
            matrix: done.observed.means(&|_| None).matrix,
            steps: done.entries.iter().map(StepKept::from).collect(),
        })
        .collect();
    let own = |key: &str| replicates.get(arm.name.as_str())?.get(statistics::place(key)?);
    let other = |name: &str, key: &str| replicates.get(name)?.get(statistics::place(key)?);
    let estimates = |of: &dyn Fn(&str) -> Option<Estimate>| -> BTreeMap<String, Estimate> {
        STATISTICS.iter().filter_map(|statistic| Some((statistic.key.to_owned(), of(statistic.key)?))).collect()
    };
    let mut statistics = estimates(&|key| bootstrap.estimate(own(key)?));
    let held_back = intransigence(other(JOINT, DECIDES), own("learned"));
    statistics.extend(bootstrap.estimate(&held_back).map(|held_back| ("intransigence".to_owned(), held_back)));
    let against = |key: &str| bootstrap.estimate(&bootstrap::differences(own(key)?, other(NAIVE, key)?));
    let share = |key: &str, name: &str| bootstrap.estimate(&bootstrap::ratios(own(key)?, other(name, key)?));
    let shares = [("learned of naive", share("learned", NAIVE)), ("ACC of joint", share(DECIDES, JOINT))];
    let matrices: Vec<&Matrix> = runs.iter().map(|run| &run.matrix).collect();
    ArmKept {
        name: arm.name.clone(),
        about: arm.recipe.about.clone(),
        unknown: unknown.get(&arm.name).cloned().unwrap_or_default(),
        matrix: Matrix::mean(&matrices).unwrap_or_else(|| Matrix::new(0)),
        statistics,
        against_naive: if arm.name == NAIVE { BTreeMap::new() } else { estimates(&against) },
        shares: shares.into_iter().filter_map(|(name, share)| Some((name.to_owned(), share?))).collect(),
        runs,
    }
}

/// Run by run, [`formulas::intransigence`].
fn intransigence(reference: Option<&Vec<Replicates>>, learned: Option<&Vec<Replicates>>) -> Vec<Replicates> {
    let Some((reference, learned)) = reference.zip(learned) else { return Vec::new() };
    bootstrap::combine(reference, learned, |reference, learned| formulas::intransigence(Some(reference), Some(learned)))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{journal::tests::entry, observed::tests::suites, plan},
        *,
    };

    /// The arms default, naive and joint after a stream of two tasks, each with one item.
    fn arms() -> Vec<Arm> {
        ["default", "naive", "joint"].map(|name| Arm::load(name).unwrap()).to_vec()
    }

    fn done<'a>(arms: &'a [Arm], scores: &[&[[f64; 2]]]) -> Vec<Done<'a>> {
        let runs = plan::runs(arms, &plan::orders(2, 1), &[0]);
        let done = runs.into_iter().zip(scores).map(|(run, rows)| {
            let entries = rows.iter().enumerate().map(|(at, [a, b])| entry(at + 1, "t", &[("a", *a), ("b", *b)]));
            Done::new(run, entries.collect(), suites(&["a", "b"]), None)
        });
        done.collect()
    }

    const KEYS: [Key; 1] = [Key { order: 0, seed: 0 }];

    #[test]
    fn arms_are_compared_with_naive_and_joint() {
        let arms = arms();
        let done = done(&arms, &[&[[0.8, 0.0], [0.7, 0.9]], &[[0.8, 0.0], [0.2, 1.0]], &[[0.9, 0.9]]]);
        let (kept, decides) = summarise(&arms, &done, &KEYS, &BTreeMap::new());
        let value = |map: &BTreeMap<String, Estimate>, key: &str| (map[key].value * 1e6).round() / 1e6;
        let [default, naive, joint] = kept.as_slice() else { panic!("three arms") };
        assert_eq!((value(&default.statistics, "acc"), value(&naive.statistics, "acc")), (0.8, 0.6));
        assert_eq!(value(&naive.statistics, "forgetting"), 0.6);
        assert_eq!(value(&default.against_naive, "forgetting"), -0.5);
        assert_eq!(value(&default.statistics, "intransigence"), 0.05);
        assert_eq!(value(&default.shares, "ACC of joint"), (0.8_f64 / 0.9 * 1e6).round() / 1e6);
        assert_eq!(value(&default.shares, "learned of naive"), (0.85_f64 / 0.9 * 1e6).round() / 1e6);
        assert!(naive.against_naive.is_empty() && !joint.statistics.contains_key("learned"));
        let decides = decides.unwrap();
        assert_eq!((decides.steps, (decides.difference.value * 1e6).round()), ((20, 20), 2e5));
    }

    #[test]
    fn what_is_not_done_is_not_compared() {
        let arms = arms();
        let done = done(&arms, &[&[[0.8, 0.0], [0.7, 0.9]], &[[0.8, 0.0]], &[]]);
        let (kept, decides) = summarise(&arms, &done, &KEYS, &BTreeMap::new());
        assert_eq!(decides, None);
        assert!(kept[1].statistics.is_empty() && kept[0].against_naive.is_empty() && kept[0].shares.is_empty());
        assert_eq!(kept[1].matrix.get(1, 1), Some(0.8));
    }
}

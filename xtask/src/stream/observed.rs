//! What a run scored, by the rows of its matrix, and the means of it.

use super::{
    arm::Shape,
    formulas,
    journal::{Entry, Scored, Scores},
    matrix::Matrix,
};

/// The suite of the base model's own answers.
pub(super) const LIKENESS: &str = "likeness.base";

/// The suites of a stream, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Suites {
    /// Of the tasks, in the order in which they are learned.
    pub(super) tasks: Vec<String>,
    /// Whose scores are shares.
    pub(super) general: Vec<String>,
    /// Whose scores are log-likelihoods.
    pub(super) likelihoods: Vec<String>,
}

/// The scores of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub(super) suites: Suites,
    /// Row `t` of the matrix; row 0 is the base model.
    rows: Vec<Option<Scores>>,
}

/// The means of a run.
pub(super) struct Means {
    pub(super) matrix: Matrix,
    /// For each row: the mean of the general suites.
    pub(super) general: Vec<Option<f64>>,
    /// For each row: how far the likelihood of general texts rose over the base model's, in nats per token.
    pub(super) likelihood: Vec<Option<f64>>,
    /// For each row: how far the likelihood of the base model's own answers fell, in nats per token. They are drawn from the base
    /// model, so it is an estimate of the divergence `KL(base ‖ adapter)` per token: `E log p(x) − log q(x)`, `x` from `p`.
    pub(super) divergence: Vec<Option<f64>>,
}

/// How often each item of each suite counts. Every suite has as many weights as items, or none where each counts once.
pub(super) type Weights<'a> = &'a dyn Fn(&str) -> Option<&'a [f64]>;

impl Observed {
    /// The rows of a run's steps. `base` is the base model's scores where the run has none of its own.
    pub(super) fn new(shape: Shape, suites: Suites, entries: &[Entry], base: Option<&Scores>) -> Self {
        let last = suites.tasks.len();
        let mut rows: Vec<Option<Scores>> = vec![None; last + 1];
        let mut bases = Scores::new();
        let own = entries.iter().filter_map(|entry| entry.base.as_ref());
        for (suite, items) in base.into_iter().chain(own).flatten() {
            bases.insert(suite.clone(), items.clone());
        }
        for entry in entries {
            match shape {
                Shape::Joint => rows[last] = Some(entry.scores.clone()),
                // Beside the task itself it was asked what other tasks' rows are not comparable in.
                Shape::Single => {
                    let task = suites.tasks.get(entry.step - 1);
                    let own = task.and_then(|task| Some((task.clone(), entry.scores.get(task)?.clone())));
                    rows[entry.step] = Some(own.into_iter().collect());
                }
                Shape::Sequence | Shape::Base => rows[entry.step] = Some(entry.scores.clone()),
            }
        }
        if !bases.is_empty() {
            rows[0] = Some(bases);
        }
        if shape == Shape::Base {
            rows = vec![rows[0].clone(); last + 1];
        }
        Self { suites, rows }
    }

    /// The base model's scores.
    pub(super) fn base(&self) -> Option<&Scores> {
        self.rows.first()?.as_ref()
    }

    /// How many items a suite has.
    pub(super) fn items(&self, suite: &str) -> Option<usize> {
        self.rows.iter().flatten().find_map(|scores| Some(scores.get(suite)?.len()))
    }

    /// The means, with items weighted.
    pub(super) fn means(&self, weights: Weights<'_>) -> Means {
        let tasks = self.suites.tasks.len();
        let mut matrix = Matrix::new(tasks);
        for (t, row) in self.rows.iter().enumerate() {
            for (at, suite) in self.suites.tasks.iter().enumerate() {
                let items = row.as_ref().and_then(|scores| scores.get(suite));
                matrix.set(t, at + 1, items.and_then(|items| mean(items, weights(suite))));
            }
        }
        let general = self.over_rows(|scores| {
            let of = |suite: &String| mean(scores.get(suite)?, weights(suite));
            formulas::mean(self.suites.general.iter().map(of))
        });
        let risen = |scores: &Scores, suite: &str| rise(self.base()?.get(suite)?, scores.get(suite)?, weights(suite));
        let likelihood =
            self.over_rows(|scores| formulas::mean(self.suites.likelihoods.iter().map(|suite| risen(scores, suite))));
        let divergence = self.over_rows(|scores| risen(scores, LIKENESS).map(|rise| -rise));
        Means { matrix, general, likelihood, divergence }
    }

    fn over_rows(&self, of: impl Fn(&Scores) -> Option<f64>) -> Vec<Option<f64>> {
        self.rows.iter().map(|row| row.as_ref().and_then(&of)).collect()
    }
}

/// The mean over those that could be judged.
fn mean(items: &[Scored], weights: Option<&[f64]>) -> Option<f64> {
    weighted(items.iter().map(|Scored(score, _)| Some((1.0, (*score)?))), weights)
}

/// By how much the log-likelihood rose, over all tokens of the items that could be judged both times.
fn rise(before: &[Scored], after: &[Scored], weights: Option<&[f64]>) -> Option<f64> {
    let risen = |(Scored(before, _), Scored(after, tokens)): (&Scored, &Scored)| {
        Some(((*tokens)? as f64, (*after)? - (*before)?))
    };
    weighted(before.iter().zip(after).map(risen), weights)
}

/// The mean of values with their own weights, times those of the items.
fn weighted(items: impl Iterator<Item = Option<(f64, f64)>>, weights: Option<&[f64]>) -> Option<f64> {
    let (mut sum, mut all) = (0.0, 0.0);
    for (at, item) in items.enumerate() {
        let Some((own, value)) = item else { continue };
        let weight = own * weights.map_or(1.0, |weights| weights.get(at).copied().unwrap_or(0.0));
        sum += weight * value;
        all += weight;
    }
    (all > 0.0).then(|| sum / all)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::journal::tests::entry, *};

    /// Suites of these tasks.
    pub(in super::super) fn suites(tasks: &[&str]) -> Suites {
        Suites { tasks: tasks.iter().map(|task| (*task).to_owned()).collect(), ..Suites::default() }
    }

    #[test]
    fn each_shape_has_its_rows() {
        let mut entries = [entry(1, "a", &[("a", 0.8), ("b", 0.1)]), entry(2, "b", &[("a", 0.6), ("b", 0.9)])];
        entries[0].base = Some(entry(0, "", &[("a", 0.0), ("b", 0.2)]).scores);
        let cells = |shape, entries: &[Entry], base| {
            let matrix = Observed::new(shape, suites(&["a", "b"]), entries, base).means(&|_| None).matrix;
            [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)].map(|(t, i)| matrix.get(t, i))
        };
        let some = |values: [f64; 6]| values.map(Some);
        assert_eq!(cells(Shape::Sequence, &entries, None), some([0.0, 0.2, 0.8, 0.1, 0.6, 0.9]));
        assert_eq!(cells(Shape::Joint, &entries[..1], None), [Some(0.0), Some(0.2), None, None, Some(0.8), Some(0.1)]);
        assert_eq!(cells(Shape::Single, &entries, None), [Some(0.0), Some(0.2), Some(0.8), None, None, Some(0.9)]);
        let base = entries[0].base.clone().unwrap();
        assert_eq!(cells(Shape::Base, &[], Some(&base)), some([0.0, 0.2, 0.0, 0.2, 0.0, 0.2]));
        assert_eq!(cells(Shape::Base, &[], None), [None; 6]);
    }

    #[test]
    fn likelihoods_are_weighted_by_tokens_and_unjudged_items_are_left_out() {
        let before = [Scored(Some(-1.0), Some(10)), Scored(Some(-2.0), Some(30)), Scored(None, None)];
        let after = [Scored(Some(-1.5), Some(10)), Scored(Some(-2.1), Some(30)), Scored(Some(0.0), Some(9))];
        let risen = rise(&before, &after, None).unwrap();
        assert!((risen - (10.0 * -0.5 + 30.0 * -0.1) / 40.0).abs() < 1e-12);
        assert_eq!(rise(&before, &after, Some(&[2.0, 0.0, 1.0])), Some(-0.5));
        assert_eq!(mean(&[Scored(Some(1.0), None), Scored(None, None)], None), Some(1.0));
        assert_eq!(mean(&[Scored(None, None)], None), None);
        assert_eq!(mean(&[Scored(Some(1.0), None)], Some(&[0.0])), None);
    }

    #[test]
    fn a_divergence_is_what_the_base_models_answers_lost() {
        let answers = |score| Scores::from([(LIKENESS.to_owned(), vec![Scored(Some(score), Some(5))])]);
        let mut step = entry(1, "a", &[("a", 0.5)]);
        step.scores.extend(answers(-1.75));
        step.base = Some(answers(-1.5));
        let means = Observed::new(Shape::Sequence, suites(&["a"]), &[step], None).means(&|_| None);
        assert_eq!(means.divergence, [Some(0.0), Some(0.25)]);
        assert_eq!((means.general, means.likelihood), (vec![None, None], vec![None, None]));
    }
}

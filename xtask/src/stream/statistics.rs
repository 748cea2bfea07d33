//! What is said of a run, in one number each. The next one is a line in [`STATISTICS`].

use super::{formulas, observed::Means};

/// A number that is read off a run's means.
pub(super) struct Statistic {
    /// By which it is found in the results.
    pub(super) key: &'static str,
    /// The head of its column.
    pub(super) title: &'static str,
    /// What it is, for the reader.
    pub(super) about: &'static str,
    /// How many digits are worth to be shown behind the point.
    pub(super) digits: usize,
    /// `None` where the run did not come so far, or does not have it.
    pub(super) of: fn(&Means) -> Option<f64>,
}

/// What the one comparison that decides is about.
pub(super) const DECIDES: &str = "acc";

/// All of them.
pub(super) const STATISTICS: [Statistic; 8] = [
    Statistic {
        key: DECIDES,
        title: "ACC",
        about: "the mean score over all tasks after the last one",
        digits: 3,
        of: |means| formulas::accuracy(&means.matrix),
    },
    Statistic {
        key: "learned",
        title: "learned",
        about: "the mean score of each task right after it was learned",
        digits: 3,
        of: |means| formulas::learned(&means.matrix),
    },
    Statistic {
        key: "forgetting",
        title: "forgetting",
        about: "how far each task lies below its best at the end (Chaudhry et al. 2018); less is better",
        digits: 3,
        of: |means| formulas::forgetting(&means.matrix),
    },
    Statistic {
        key: "bwt",
        title: "BWT",
        about: "what later tasks did to earlier ones (Lopez-Paz and Ranzato 2017)",
        digits: 3,
        of: |means| formulas::backward_transfer(&means.matrix),
    },
    Statistic {
        key: "fwt",
        title: "FWT",
        about: "what earlier tasks gave to one that was not learned yet, over the base model (the same)",
        digits: 3,
        of: |means| formulas::forward_transfer(&means.matrix),
    },
    Statistic {
        key: "general",
        title: "general",
        about: "the change of the general suites' mean score, against the base model",
        digits: 3,
        of: |means| change(&means.general),
    },
    Statistic {
        key: "likelihood",
        title: "likelihood",
        about: "the change of the log-likelihood of general texts, in nats per token",
        digits: 3,
        of: |means| *means.likelihood.last()?,
    },
    Statistic {
        key: "divergence",
        title: "KL to base",
        about: "the divergence from the base model on its own answers, in nats per token; less is nearer",
        digits: 3,
        of: |means| *means.divergence.last()?,
    },
];

/// The last against the first.
fn change(rows: &[Option<f64>]) -> Option<f64> {
    Some((*rows.last()?)? - (*rows.first()?)?)
}

/// The place of a statistic.
pub(super) fn place(key: &str) -> Option<usize> {
    STATISTICS.iter().position(|statistic| statistic.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_there_once() {
        let keys: BTreeSet<&str> = STATISTICS.iter().map(|statistic| statistic.key).collect();
        assert_eq!(keys.len(), STATISTICS.len());
        assert_eq!((place(DECIDES), place("nonsense")), (Some(0), None));
    }

    #[test]
    fn a_change_needs_both_ends() {
        assert_eq!(change(&[Some(0.5), None, Some(0.25)]), Some(-0.25));
        assert_eq!((change(&[Some(0.5), None]), change(&[])), (None, None));
    }
}

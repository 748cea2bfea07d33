//! How many items the sequential test asks, and what it says in the end together with the comparison of all items.

use perennial_gate::{
    Asked, Difference, Look, Metric, Paired, Policy, Scale, Sequential, Stopped, SuiteReport, decide,
};

use super::world::{Domain, MARGIN, differences, policy};
use crate::random::Random;

/// The items of a batch.
const BATCH: usize = 50;

/// What became of a protected suite that was asked in batches.
pub(super) struct Outcome {
    /// The items asked.
    pub(super) items: f64,
    /// Whether the gate refuses.
    pub(super) refused: bool,
}

/// Asks a suite batch by batch, and decides.
pub(super) fn play(domain: &Domain, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let policy = Policy { sequential: true, ..policy(seed) };
    let differences = differences(domain, domain.churn, &mut random);
    let mut test = Sequential::new(MARGIN, 1.0, 1, &policy);
    let (mut look, mut asked) = (Look::Continue, 0);
    for batch in differences.chunks(BATCH) {
        look = test.observe(batch);
        asked += batch.len();
        if look != Look::Continue {
            break;
        }
    }
    let stopped = match look {
        Look::Continue => None,
        Look::Safe => Some(Stopped::Safe),
        Look::Harm => Some(Stopped::Harm),
    };
    let of = domain.items;
    let paired = Paired::new(Scale::Binary, differences[..asked].iter().copied().map(Difference::from).collect());
    let suite = SuiteReport {
        asked: stopped.map(|stopped| Asked { items: asked, of, stopped }),
        ..SuiteReport::new("s", Metric::ExactMatch, MARGIN)
    };
    let refused = !decide(&mut [suite.measured(paired, &policy)], None, &policy).1.promotes();
    Outcome { items: asked as f64, refused }
}

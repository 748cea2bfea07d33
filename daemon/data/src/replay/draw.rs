use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, Domain, SampleId};

use super::{
    budget::Budget,
    policies::PolicyKind,
    pool::{Lots, Pool},
    row::ReplayRow,
    signals::Signals,
};

/// How rows are drawn from the buffer for a cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// Which rows are wanted.
    pub policy: PolicyKind,
    /// How many tokens are wanted.
    pub tokens: f64,
    /// How often a row may be drawn for one cycle, 1 or more.
    pub repeats_max: usize,
    /// The domains that the last evaluation saw fall.
    pub fallen: BTreeSet<Domain>,
    /// The share of the tokens that goes to those first, from 0 to 1.
    pub fallen_fraction: f64,
    /// The tokens of a row of which they were never counted.
    pub row_tokens_default: u64,
    /// A longer row counts as so many tokens, since training cuts it.
    pub row_tokens_max: u64,
    /// The cycle that draws.
    pub cycle: CycleId,
    /// Of the lots, which are independent of those of [`surplus`](super::surplus) and of other seeds.
    pub seed: u64,
}

impl Draw {
    /// The tokens of this row, as a draw counts them.
    pub fn tokens_of(&self, row: &ReplayRow) -> u64 {
        row.tokens.map_or(self.row_tokens_default, u64::from).clamp(1, self.row_tokens_max.max(1))
    }
}

/// Draws from the candidates in the order of the policy until their tokens come nearest to what is wanted, or all were drawn as
/// often as they may be. First the domains that fell have their share, as far as they have rows; whatever they leave is drawn
/// from all. A row may be drawn several times, up to [`Draw::repeats_max`].
///
/// Depends on the set of the candidates, never on their order.
pub fn draw(draw: &Draw, candidates: &[ReplayRow], signals: Signals<'_>) -> Vec<SampleId> {
    let mut drawn = Drawn { times: BTreeMap::new(), budget: Budget::default(), order: Vec::new() };
    let fallen = draw.tokens * draw.fallen_fraction.clamp(0.0, 1.0);
    let of_fallen = candidates.iter().filter(|row| draw.fallen.contains(&row.domain));
    drawn.take(draw, &pool(draw, of_fallen, signals), fallen);
    drawn.take(draw, &pool(draw, candidates, signals), draw.tokens);
    drawn.order
}

fn pool<'a>(draw: &Draw, rows: impl IntoIterator<Item = &'a ReplayRow>, signals: Signals<'a>) -> Pool<'a> {
    let lots = Lots { salt: b"perennial replay draw 1", seed: draw.seed };
    Pool::new(rows, lots).with_tokens(|row| draw.tokens_of(row)).for_cycle(draw.cycle, draw.repeats_max, signals)
}

struct Drawn {
    times: BTreeMap<SampleId, usize>,
    budget: Budget,
    order: Vec<SampleId>,
}

impl Drawn {
    /// Goes on until so many tokens are drawn in all.
    fn take(&mut self, draw: &Draw, pool: &Pool<'_>, tokens: f64) {
        self.budget.raise_to(tokens);
        let mut listed = vec![0_usize; pool.rows().len()];
        for place in draw.policy.policy().order(pool) {
            let (id, own) = (pool.rows()[place].id, pool.tokens(place));
            listed[place] += 1;
            let times = self.times.entry(id).or_default();
            // Drawn before, and this is the turn for that.
            if *times >= listed[place].min(pool.repeats_max()) {
                continue;
            }
            if !self.budget.take(own) {
                return;
            }
            *times += 1;
            self.order.push(id);
        }
    }
}

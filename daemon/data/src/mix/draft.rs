use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{Fingerprint, Fingerprinter, SampleId};

use super::{MixConfig, MixPlan, NewSample, Origin};
use crate::replay::{self, Budget, Draw, PolicyKind, ReplayRow, Signals};

/// What a mix is planned from, before anything is asked of the learner: the new samples that go into it, and what may be replayed.
///
/// Everything here depends on the sets that are given and the configuration, never on their order.
pub struct Draft {
    config: MixConfig,
    new: BTreeSet<SampleId>,
    new_tokens: u64,
    /// The candidates that are not also new.
    allowed: Vec<ReplayRow>,
    /// The tokens of a sample of which they were never counted: the mean of the others.
    row_tokens_default: u64,
}

impl Draft {
    /// Takes the oldest `samples_max` new samples. `candidates` are the rows that may be replayed: those that a promoted cycle was
    /// trained on; one that is also new counts as new.
    pub fn new(config: MixConfig, new: &[NewSample], candidates: Vec<ReplayRow>) -> Self {
        let mut oldest: Vec<&NewSample> = new.iter().collect();
        oldest.sort_unstable_by_key(|sample| (sample.arrived_ms, sample.id));
        oldest.dedup_by_key(|sample| sample.id);
        oldest.truncate(config.samples_max);
        let new: BTreeSet<SampleId> = oldest.iter().map(|sample| sample.id).collect();
        let mut allowed = candidates;
        allowed.retain(|row| !new.contains(&row.id));
        let counted = oldest.iter().map(|sample| sample.tokens).chain(allowed.iter().map(|row| row.tokens));
        let row_tokens_default = mean_tokens(counted);
        let mut draft = Self { config, new, new_tokens: 0, allowed, row_tokens_default };
        draft.new_tokens = oldest.iter().map(|sample| draft.length(sample.tokens)).sum();
        draft
    }

    /// How many tokens of answers of the base model the mix is to have.
    pub fn base_answer_tokens(&self) -> f64 {
        let fraction = self.config.base_answer_fraction;
        fraction * self.tokens_with(fraction)
    }

    /// The tokens of a row, as a mix counts them.
    pub fn tokens_of(&self, row: &ReplayRow) -> u64 {
        self.length(row.tokens)
    }

    /// The candidates among which a policy that [reads losses](crate::replay::Policy::reads_losses) chooses: a draw of `times` the
    /// tokens that are to be replayed, balanced over domains, the domains that fell first. Sorted by id.
    pub fn shortlist(&self, times: f64) -> Vec<SampleId> {
        let draw = self.draw(self.config.base_answer_fraction);
        let wide = Draw { policy: PolicyKind::BALANCED, tokens: draw.tokens * times, repeats_max: 1, ..draw };
        let drawn: BTreeSet<SampleId> = replay::draw(&wide, &self.allowed, Signals::default()).into_iter().collect();
        drawn.into_iter().collect()
    }

    /// The mix: the new samples, as many replayed ones as it takes for ρ of all tokens to be replayed, and of answers of the base
    /// model, the first of which come first, in the same way; in an order shuffled by the seed. Fewer candidates than wanted are
    /// all taken, each as often as it may be. Answers that are new or replayed are left out, and where there is none at all their
    /// share is the others'.
    pub fn plan(self, base_answers: &[ReplayRow], signals: Signals<'_>) -> MixPlan {
        let fraction = if base_answers.is_empty() { 0.0 } else { self.config.base_answer_fraction };
        let draw = self.draw(fraction);
        let drawn = replay::draw(&draw, &self.allowed, signals);
        let taken: BTreeSet<SampleId> = self.new.iter().chain(&drawn).copied().collect();
        let replayed = self.allowed.iter().filter(|row| taken.contains(&row.id));
        let replay_lengths: BTreeMap<SampleId, u64> = replayed.map(|row| (row.id, self.tokens_of(row))).collect();
        let drawn_tokens: u64 = drawn.iter().filter_map(|id| replay_lengths.get(id)).sum();
        let free = base_answers.iter().filter(|row| !taken.contains(&row.id));
        let mut budget = Budget::of(fraction * self.tokens_with(fraction));
        let base_answers: Vec<SampleId> =
            free.take_while(|row| budget.take(self.tokens_of(row))).map(|row| row.id).collect();
        let of = |origin| move |id: &SampleId| (*id, origin);
        let origins = self.new.iter().map(of(Origin::New)).chain(drawn.iter().map(of(Origin::Replay)));
        let origins = origins.chain(base_answers.iter().map(of(Origin::BaseAnswer)));
        let MixConfig { replay_fraction, policy, repeats_max, seed, .. } = self.config;
        let most = self.allowed.len() * repeats_max.max(1);
        MixPlan {
            order: shuffled(origins, seed),
            replay_tokens_wanted: draw.tokens.round() as u64,
            replay_lengths,
            is_short: drawn_tokens < draw.tokens.floor() as u64 && drawn.len() >= most,
            replay_fraction,
            policy,
            repeats_max,
            seed,
        }
    }

    fn length(&self, tokens: Option<u32>) -> u64 {
        tokens.map_or(self.row_tokens_default, u64::from).clamp(1, self.config.row_tokens_max.max(1))
    }

    /// The tokens of the whole mix, of which the new samples are what this share and ρ leave.
    fn tokens_with(&self, base_answer_fraction: f64) -> f64 {
        let of_new = 1.0 - self.config.replay_fraction - base_answer_fraction;
        self.new_tokens as f64 / of_new.max(f64::EPSILON)
    }

    fn draw(&self, base_answer_fraction: f64) -> Draw {
        let config = &self.config;
        Draw {
            policy: config.policy,
            tokens: config.replay_fraction * self.tokens_with(base_answer_fraction),
            repeats_max: config.repeats_max,
            fallen: config.fallen.clone(),
            fallen_fraction: config.fallen_fraction,
            row_tokens_default: self.row_tokens_default,
            row_tokens_max: config.row_tokens_max,
            cycle: config.cycle,
            seed: config.seed,
        }
    }
}

/// In the order of lots, which is a uniform shuffle.
fn shuffled(origins: impl Iterator<Item = (SampleId, Origin)>, seed: u64) -> Vec<(SampleId, Origin)> {
    let mut times: BTreeMap<SampleId, u64> = BTreeMap::new();
    let mut order: Vec<(Fingerprint, (SampleId, Origin))> = origins
        .map(|(id, origin)| {
            let copy = times.entry(id).and_modify(|copy| *copy += 1).or_default();
            (place(&id, *copy, seed), (id, origin))
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, row)| row).collect()
}

fn mean_tokens(counts: impl Iterator<Item = Option<u32>>) -> u64 {
    let (sum, count) = counts.flatten().fold((0, 0), |(sum, count), tokens| (sum + u64::from(tokens), count + 1));
    (sum / count.max(1)).max(1)
}

fn place(id: &SampleId, copy: u64, seed: u64) -> Fingerprint {
    let place = Fingerprinter::new().part(b"perennial mix order 1").part(&seed.to_le_bytes()).part(id.0.as_bytes());
    if copy == 0 { place.finish() } else { place.part(&copy.to_le_bytes()).finish() }
}

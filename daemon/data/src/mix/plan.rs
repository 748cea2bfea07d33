use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, Domain, Fingerprint, Fingerprinter, SampleId};
use serde::{Deserialize, Serialize};

use crate::replay::{self, Draw, PolicyKind, ReplayRow, Space};

/// How a mix is put together.
#[derive(Clone, Debug, PartialEq)]
pub struct MixConfig {
    /// How many new samples a cycle trains on at most; the oldest go first, the others wait for the next cycle.
    pub samples_max: usize,
    /// ρ: the share of the tokens of the mix that is replayed, from 0 to below 1.
    pub replay_fraction: f64,
    /// The share of the tokens of the mix that are anchors, from 0; both together below 1.
    pub anchor_fraction: f64,
    /// How the replayed samples are drawn.
    pub policy: PolicyKind,
    /// How often a sample may be replayed in one cycle, 1 or more.
    pub repeats_max: usize,
    /// The domains that the last evaluation saw fall.
    pub fallen: BTreeSet<Domain>,
    /// The share of the replayed tokens that goes to those first.
    pub fallen_fraction: f64,
    /// A longer sample counts as so many tokens, since training cuts it.
    pub row_tokens_max: u64,
    /// The cycle that the mix is for.
    pub cycle: CycleId,
    /// Of the draw and of the order.
    pub seed: u64,
}

impl Default for MixConfig {
    fn default() -> Self {
        Self {
            samples_max: 10_000,
            replay_fraction: 0.2,
            anchor_fraction: 0.0,
            policy: PolicyKind::default(),
            repeats_max: 1,
            fallen: BTreeSet::new(),
            fallen_fraction: 0.5,
            row_tokens_max: u64::MAX,
            cycle: CycleId(0),
            seed: 0,
        }
    }
}

impl MixConfig {
    /// What the others leave to the new samples.
    fn new_fraction(&self) -> f64 {
        (1.0 - self.replay_fraction - self.anchor_fraction).max(f64::EPSILON)
    }
}

/// A sample that no promoted cycle was trained on yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSample {
    /// The sample.
    pub id: SampleId,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
    /// The tokens of its text, where they were counted.
    pub tokens: Option<u32>,
}

/// Where a sample of a mix comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is trained on for the first time.
    New,
    /// It was drawn from the replay buffer.
    Replay,
    /// It is an answer of the base model itself, which keeps the adapter near to what the base knew.
    Anchor,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::New, Self::Replay, Self::Anchor];

    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replay => "replay",
            Self::Anchor => "anchor",
        }
    }
}

/// Which samples a cycle trains on, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct MixPlan {
    /// The samples in training order. None twice but replayed ones, each up to `repeats_max` times.
    pub order: Vec<(SampleId, Origin)>,
    /// How many tokens of replayed samples the fraction asks for; there are fewer where there were not enough candidates.
    pub replay_tokens_wanted: u64,
    /// The tokens of each replayed sample.
    pub(super) replay_lengths: BTreeMap<SampleId, u64>,
    /// Whether fewer tokens than wanted were drawn, since there were no more candidates.
    pub is_short: bool,
    /// As configured.
    pub replay_fraction: f64,
    /// As configured.
    pub policy: PolicyKind,
    /// As configured.
    pub repeats_max: usize,
    /// As configured.
    pub seed: u64,
}

impl MixPlan {
    /// The ids of one origin, sorted.
    pub fn ids(&self, origin: Origin) -> BTreeSet<SampleId> {
        self.order.iter().filter(|(_, of)| *of == origin).map(|(id, _)| *id).collect()
    }

    /// How many tokens the replayed samples have, each as often as it is replayed.
    pub fn replay_tokens(&self) -> u64 {
        let replayed = self.order.iter().filter(|(_, of)| *of == Origin::Replay);
        replayed.filter_map(|(id, _)| self.replay_lengths.get(id)).sum()
    }
}

/// Plans a mix of the oldest `samples_max` new samples and of as many replayed ones as it takes for ρ of all tokens
/// to be replayed, and of anchors in the same way, in an order shuffled by the seed. `candidates` are the rows that may be
/// replayed: those that a promoted cycle was trained on. Fewer candidates than wanted are all taken, each as often as it may be;
/// a candidate that is also new counts as new. A sample whose tokens were never counted is taken for one of the mean length of
/// the others.
///
/// The plan depends on the sets that are given and the configuration, never on their order.
pub fn plan(
    config: &MixConfig,
    new: &[NewSample],
    candidates: &[ReplayRow],
    anchors: &[ReplayRow],
    space: Option<&dyn Space>,
) -> MixPlan {
    let mut oldest: Vec<&NewSample> = new.iter().collect();
    oldest.sort_unstable_by_key(|sample| (sample.arrived_ms, sample.id));
    oldest.dedup_by_key(|sample| sample.id);
    oldest.truncate(config.samples_max);
    let new: BTreeSet<SampleId> = oldest.iter().map(|sample| sample.id).collect();
    let allowed: Vec<ReplayRow> = candidates.iter().filter(|row| !new.contains(&row.id)).cloned().collect();
    let default = mean_tokens(oldest.iter().map(|sample| sample.tokens).chain(allowed.iter().map(|row| row.tokens)));
    let length = |tokens: Option<u32>| tokens.map_or(default, u64::from).clamp(1, config.row_tokens_max.max(1));
    let per_new_token = oldest.iter().map(|sample| length(sample.tokens)).sum::<u64>() as f64 / config.new_fraction();
    let wanted = config.replay_fraction * per_new_token;
    let draw = Draw {
        policy: config.policy,
        tokens: wanted,
        repeats_max: config.repeats_max,
        fallen: config.fallen.clone(),
        fallen_fraction: config.fallen_fraction,
        row_tokens_default: default,
        row_tokens_max: config.row_tokens_max,
        cycle: config.cycle,
        seed: config.seed,
    };
    let drawn = replay::draw(&draw, &allowed, space);
    let taken: BTreeSet<SampleId> = new.iter().chain(&drawn).copied().collect();
    let replayed = allowed.iter().filter(|row| taken.contains(&row.id));
    let replay_lengths: BTreeMap<SampleId, u64> = replayed.map(|row| (row.id, draw.tokens_of(row))).collect();
    let drawn_tokens: u64 = drawn.iter().filter_map(|id| replay_lengths.get(id)).sum();
    let free: Vec<ReplayRow> = anchors.iter().filter(|row| !taken.contains(&row.id)).cloned().collect();
    let anchors = replay::draw(&draw.of_anchors(config.anchor_fraction * per_new_token), &free, None);
    let of = |origin| move |id: &SampleId| (*id, origin);
    let origins = new.iter().map(of(Origin::New)).chain(drawn.iter().map(of(Origin::Replay)));
    let origins = origins.chain(anchors.iter().map(of(Origin::Anchor)));
    let MixConfig { replay_fraction, policy, repeats_max, seed, .. } = *config;
    MixPlan {
        order: shuffled(origins, seed),
        replay_tokens_wanted: wanted.round() as u64,
        replay_lengths,
        is_short: drawn_tokens < wanted.floor() as u64 && drawn.len() >= allowed.len() * repeats_max.max(1),
        replay_fraction,
        policy,
        repeats_max,
        seed,
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

use std::collections::BTreeSet;

use perennial_types::{Fingerprint, Fingerprinter, SampleId};
use serde::{Deserialize, Serialize};

use crate::replay::{self, PolicyKind, ReplayRow};

/// How a mix is put together.
#[derive(Clone, Debug, PartialEq)]
pub struct MixConfig {
    /// How many new samples a cycle trains on at most; the oldest go first, the others wait for the next cycle.
    pub samples_max: usize,
    /// ρ: the share of the mix that is replayed, from 0 to below 1.
    pub replay_fraction: f64,
    /// How the replayed samples are drawn.
    pub policy: PolicyKind,
    /// Of the draw and of the order.
    pub seed: u64,
}

impl Default for MixConfig {
    fn default() -> Self {
        Self { samples_max: 10_000, replay_fraction: 0.2, policy: PolicyKind::Reservoir, seed: 0 }
    }
}

/// A sample that no promoted cycle was trained on yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSample {
    /// The sample.
    pub id: SampleId,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
}

/// Where a sample of a mix comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is trained on for the first time.
    New,
    /// It was drawn from the replay buffer.
    Replay,
}

impl Origin {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replay => "replay",
        }
    }
}

/// Which samples a cycle trains on, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct MixPlan {
    /// The samples in training order, none twice.
    pub order: Vec<(SampleId, Origin)>,
    /// How many replayed samples the fraction asks for; there are fewer where there were not enough candidates.
    pub replay_wanted: usize,
    /// As configured.
    pub replay_fraction: f64,
    /// As configured.
    pub policy: PolicyKind,
    /// As configured.
    pub seed: u64,
}

impl MixPlan {
    /// The ids of one origin, sorted.
    pub fn ids(&self, origin: Origin) -> BTreeSet<SampleId> {
        self.order.iter().filter(|(_, of)| *of == origin).map(|(id, _)| *id).collect()
    }
}

/// Plans a mix of the oldest `samples_max` new samples and round(ρ/(1−ρ)·n) replayed ones for n new, so that ρ of the mix
/// is replay, in an order shuffled by the seed. `candidates` are the rows that may be replayed: those that a promoted cycle
/// was trained on. Fewer candidates than wanted are all taken; a candidate that is also new counts as new.
///
/// The plan depends on the sets that are given and the configuration, never on their order.
pub fn plan(config: &MixConfig, new: &[NewSample], candidates: &[ReplayRow]) -> MixPlan {
    let mut oldest: Vec<(i64, SampleId)> = new.iter().map(|sample| (sample.arrived_ms, sample.id)).collect();
    oldest.sort_unstable();
    oldest.dedup_by_key(|(_, id)| *id);
    oldest.truncate(config.samples_max);
    let new: BTreeSet<SampleId> = oldest.into_iter().map(|(_, id)| id).collect();
    let allowed: Vec<ReplayRow> = candidates.iter().filter(|row| !new.contains(&row.id)).cloned().collect();
    let wanted = replay_count(config.replay_fraction, new.len());
    let drawn = replay::draw(config.policy.policy(), &allowed, wanted, config.seed);
    let origins = new.iter().map(|id| (*id, Origin::New)).chain(drawn.iter().map(|id| (*id, Origin::Replay)));
    let mut order: Vec<(SampleId, Origin)> = origins.collect();
    // Sorting by lots is a uniform shuffle.
    order.sort_by_cached_key(|(id, _)| place(id, config.seed));
    let MixConfig { replay_fraction, policy, seed, .. } = *config;
    MixPlan { order, replay_wanted: wanted, replay_fraction, policy, seed }
}

fn replay_count(fraction: f64, new: usize) -> usize {
    let fraction = fraction.clamp(0.0, 1.0 - f64::EPSILON);
    (fraction / (1.0 - fraction) * new as f64).round() as usize
}

fn place(id: &SampleId, seed: u64) -> Fingerprint {
    Fingerprinter::new().part(b"perennial mix order 1").part(&seed.to_le_bytes()).part(id.0.as_bytes()).finish()
}

use std::collections::BTreeMap;

use perennial_types::{Domain, Fingerprint, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MixPlan, MixRow, Origin};
use crate::replay::PolicyKind;

/// The version of the files that [`freeze`](super::freeze) writes.
pub const MANIFEST_VERSION: u32 = 1;

/// How many samples of a domain are in a mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainCounts {
    /// Trained on for the first time.
    pub new: u64,
    /// Drawn from the replay buffer.
    pub replay: u64,
    /// Answered by the base model.
    #[serde(default, alias = "anchor", skip_serializing_if = "is_zero")]
    pub base_answers: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is said of a mix beside its rows: `manifest.json` in the cycle's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Of what is trained on and its order. The way a sample came (source, time, the sender's id, whom it is about) does not
    /// count, nor does the encoding of the file: the same data gives the same fingerprint, wherever it is taken in.
    pub fingerprint: Fingerprint,
    /// How many samples there are.
    pub samples: u64,
    /// How many of them are trained on for the first time.
    pub new: u64,
    /// How many were drawn from the replay buffer.
    pub replay: u64,
    /// How many the base model answered.
    #[serde(default, alias = "anchor")]
    pub base_answers: u64,
    /// Rows of the mix by domain, those of an origin apart.
    pub domains: BTreeMap<Domain, DomainCounts>,
    /// Samples per shape.
    pub kinds: BTreeMap<Kind, u64>,
    /// How the replayed samples were drawn.
    pub policy: PolicyKind,
    /// ρ, as configured; there may be less replay where there were not enough candidates.
    pub replay_fraction: f64,
    /// How many tokens the replayed samples have; 0 in manifests of an older program, which did not count them.
    #[serde(default)]
    pub replay_tokens: u64,
    /// Of the draw and of the order.
    pub seed: u64,
    /// What the caller adds: the fingerprint of the base model, the parent adapter, the objective and its configuration.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Manifest {
    pub(super) fn of(plan: &MixPlan, rows: &[MixRow], fingerprint: Fingerprint, extra: Map<String, Value>) -> Self {
        let mut domains: BTreeMap<Domain, DomainCounts> = BTreeMap::new();
        let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
        for row in rows {
            let counts = domains.entry(row.sample.domain.clone()).or_default();
            match row.origin {
                Origin::New => counts.new += 1,
                Origin::Replay => counts.replay += 1,
                Origin::BaseAnswer => counts.base_answers += 1,
            }
            *kinds.entry(row.sample.body.kind()).or_default() += 1;
        }
        Self {
            version: MANIFEST_VERSION,
            fingerprint,
            samples: rows.len() as u64,
            new: domains.values().map(|counts| counts.new).sum(),
            replay: domains.values().map(|counts| counts.replay).sum(),
            base_answers: domains.values().map(|counts| counts.base_answers).sum(),
            domains,
            kinds,
            policy: plan.policy,
            replay_fraction: plan.replay_fraction,
            replay_tokens: plan.replay_tokens(),
            seed: plan.seed,
            extra,
        }
    }
}

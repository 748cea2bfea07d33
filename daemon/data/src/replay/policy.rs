use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use perennial_types::{Domain, Fingerprint, Fingerprinter, SampleId};
use serde::{Deserialize, Serialize};

use super::ReplayRow;

/// Chooses rows of the replay buffer.
pub trait ReplayPolicy: Sync {
    /// At most `n` of the rows, the most wanted first, none twice. `lot` gives each id a random place in a total order that
    /// depends on nothing but the id and a seed, so that the answer does not depend on the order of `rows` either.
    fn choose(&self, rows: &[ReplayRow], n: usize, lot: &dyn Fn(&SampleId) -> Fingerprint) -> Vec<SampleId>;
}

/// The policies, as the configuration and manifests name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Every row has the same chance: the buffer mirrors everything that ever came.
    #[default]
    Reservoir,
    /// Every domain has the same share, as far as it has rows: rare domains are not forgotten.
    Balanced,
    /// The newest rows: for streams whose past no longer holds.
    Recent,
}

impl PolicyKind {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reservoir => "reservoir",
            Self::Balanced => "balanced",
            Self::Recent => "recent",
        }
    }

    /// The policy of this name.
    pub fn policy(self) -> &'static dyn ReplayPolicy {
        match self {
            Self::Reservoir => &Reservoir,
            Self::Balanced => &Balanced,
            Self::Recent => &Recent,
        }
    }
}

/// The rows that stay in a buffer of this capacity. With one seed, a row that once had to leave never comes back in, however
/// the rows arrive and however often this is called (but for `balanced`, when a domain shrinks).
pub fn keep(policy: &dyn ReplayPolicy, rows: &[ReplayRow], capacity: usize, seed: u64) -> BTreeSet<SampleId> {
    policy.choose(rows, capacity, &lots(b"perennial replay keep 1", seed)).into_iter().collect()
}

/// Draws `n` of the candidates without replacement, or all of them where there are fewer. Lots are independent of those of
/// [`keep`] and of other seeds.
pub fn draw(policy: &dyn ReplayPolicy, candidates: &[ReplayRow], n: usize, seed: u64) -> Vec<SampleId> {
    policy.choose(candidates, n, &lots(b"perennial replay draw 1", seed))
}

fn lots(salt: &'static [u8], seed: u64) -> impl Fn(&SampleId) -> Fingerprint {
    move |id| Fingerprinter::new().part(salt).part(&seed.to_le_bytes()).part(id.0.as_bytes()).finish()
}

/// Uniform sampling, as in Vitter, "Random Sampling with a Reservoir" (1985), but as a bottom-k sketch (Cohen and Kaplan,
/// "Summarizing Data using Bottom-k Sketches", 2007): the k rows with the smallest hashes are a uniform sample without
/// replacement of all rows seen, and, unlike with Vitter's algorithm R, the sample does not depend on the order of arrival,
/// needs no count of what was seen, and is the same when rows come twice.
struct Reservoir;

impl ReplayPolicy for Reservoir {
    fn choose(&self, rows: &[ReplayRow], n: usize, lot: &dyn Fn(&SampleId) -> Fingerprint) -> Vec<SampleId> {
        first(rows.iter().map(|row| ((), lot(&row.id), row.id)), n)
    }
}

/// Equal shares per domain, each a uniform sample of the domain: by the rank of a row's lot within its domain, so that all
/// domains give their first, then all their second, until there are enough. A domain that runs out leaves its share to the others.
struct Balanced;

impl ReplayPolicy for Balanced {
    fn choose(&self, rows: &[ReplayRow], n: usize, lot: &dyn Fn(&SampleId) -> Fingerprint) -> Vec<SampleId> {
        let mut domains: BTreeMap<&Domain, BTreeSet<(Fingerprint, SampleId)>> = BTreeMap::new();
        for row in rows {
            domains.entry(&row.domain).or_default().insert((lot(&row.id), row.id));
        }
        let ranked =
            domains.values().flat_map(|lots| lots.iter().enumerate().map(|(rank, (lot, id))| (rank, *lot, *id)));
        first(ranked, n)
    }
}

/// The latest arrivals; lots decide between those of one millisecond.
struct Recent;

impl ReplayPolicy for Recent {
    fn choose(&self, rows: &[ReplayRow], n: usize, lot: &dyn Fn(&SampleId) -> Fingerprint) -> Vec<SampleId> {
        first(rows.iter().map(|row| (Reverse(row.arrived_ms), lot(&row.id), row.id)), n)
    }
}

fn first<K: Ord>(ranked: impl Iterator<Item = (K, Fingerprint, SampleId)>, n: usize) -> Vec<SampleId> {
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_unstable();
    ranked.dedup_by_key(|(_, _, id)| *id);
    ranked.into_iter().take(n).map(|(_, _, id)| id).collect()
}

use std::collections::BTreeMap;

use perennial_types::{Domain, Fingerprint};

use super::Policy;
use crate::replay::Pool;

/// Every domain has a share of the tokens that grows with the square root of its rows, as far as it has some: rare domains are
/// not forgotten, and large ones are not held to the size of the small. Within a domain, what was replayed least often comes first,
/// then what was longest ago. A domain that runs out leaves its share to the others.
///
/// Shares ∝ n^α with α < 1 are those by which multilingual models sample languages: Conneau and Lample, "Cross-lingual Language
/// Model Pretraining" (2019), with α = 0.5. Rows are dealt as packets are in weighted fair queueing (Demers, Keshav and Shenker,
/// 1989), so that every beginning of the order has the shares. Each domain begins at a random point of its first row, as in
/// systematic sampling: so the expected share is right even where there are more domains than rows to draw.
pub(super) struct Balanced;

impl Policy for Balanced {
    fn name(&self) -> &'static str {
        "balanced"
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        let mut tagged: Vec<(u64, Fingerprint, usize)> = Vec::new();
        for mut places in by_domain(pool).into_values() {
            places.sort_by_key(|place| {
                let row = pool.rows()[*place];
                (row.times_replayed, row.last_replayed_cycle, pool.lot(*place))
            });
            let weight = (places.len() as f64).sqrt();
            let Some(first) = places.first() else { continue };
            // The lot itself is the smallest of its domain, and so not uniform.
            let start = Fingerprint::of(pool.lot(*first).as_bytes()).unit_interval() * pool.tokens(*first) as f64;
            let mut before = start;
            for place in places.repeat(pool.repeats_max()) {
                // The bits of floats that are not negative are ordered as they are.
                tagged.push(((before / weight).to_bits(), pool.lot(place), place));
                before += pool.tokens(place) as f64;
            }
        }
        tagged.sort_unstable();
        tagged.into_iter().map(|(_, _, place)| place).collect()
    }
}

/// By the rank of a row's lot within its domain, so that all domains give their first, then all their second.
pub(super) fn equal_shares(pool: &Pool<'_>) -> Vec<usize> {
    let mut ranked = Vec::new();
    for mut places in by_domain(pool).into_values() {
        places.sort_by_key(|place| pool.lot(*place));
        ranked.extend(places.into_iter().enumerate().map(|(rank, place)| (rank, pool.lot(place), place)));
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, place)| place).collect()
}

fn by_domain<'a>(pool: &Pool<'a>) -> BTreeMap<&'a Domain, Vec<usize>> {
    let mut domains: BTreeMap<&Domain, Vec<usize>> = BTreeMap::new();
    for (place, row) in pool.rows().iter().enumerate() {
        domains.entry(&row.domain).or_default().push(place);
    }
    domains
}

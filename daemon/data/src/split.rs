//! Which samples are held out: never trained on, they become their domain's auto suite.

use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{Domain, Fingerprint, Fingerprinter, SampleId};

/// How much is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitConfig {
    /// The share of a domain's samples that is held out, from 0 (nothing ever is) to 1.
    pub fraction: f64,
    /// How many samples a domain should have in its auto suite at least, so that a small one can be judged as well.
    pub min_per_domain: usize,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { fraction: 0.05, min_per_domain: 4 }
    }
}

/// Topping up a domain holds out at most one in this many samples of a batch, so that a small domain is still learned.
const TOP_UP_SHARE: usize = 5;

/// Chooses which samples of a batch are held out. `held_out` says how many already are, per domain; the batch holds none
/// of those and no sample twice.
///
/// A sample is held out where its lot, a number in `[0, 1)` that depends on its id alone, lies below `fraction`: the
/// answer is the same whenever and with whatever it comes. Where a domain would then have fewer than `min_per_domain`, the
/// samples with the next lots join them, as long as no more than a fifth of the domain's batch is held out.
pub fn choose_held_out(
    config: &SplitConfig,
    batch: &[(SampleId, Domain)],
    held_out: &BTreeMap<Domain, usize>,
) -> BTreeSet<SampleId> {
    if config.fraction <= 0.0 {
        return BTreeSet::new();
    }
    let mut domains: BTreeMap<&Domain, Vec<(Fingerprint, SampleId)>> = BTreeMap::new();
    for (id, domain) in batch {
        domains.entry(domain).or_default().push((lot(id), *id));
    }
    let mut chosen = BTreeSet::new();
    for (domain, mut lots) in domains {
        lots.sort_unstable();
        let by_lot = lots.partition_point(|(lot, _)| lot.unit_interval() < config.fraction);
        let missing = config.min_per_domain.saturating_sub(held_out.get(domain).copied().unwrap_or(0));
        let topped_up = missing.min(lots.len() / TOP_UP_SHARE);
        chosen.extend(lots.iter().take(by_lot.max(topped_up)).map(|(_, id)| *id));
    }
    chosen
}

/// Salted, so that the split is independent of every other lot that is drawn with the same ids.
fn lot(id: &SampleId) -> Fingerprint {
    Fingerprinter::new().part(b"perennial held-out split 1").part(id.0.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(domain: &str, ids: std::ops::Range<u32>) -> Vec<(SampleId, Domain)> {
        let domain = Domain::new(domain).unwrap();
        ids.map(|n| (SampleId(Fingerprint::of(&n.to_le_bytes())), domain.clone())).collect()
    }

    #[test]
    fn large_domain_gives_its_fraction() {
        let chosen = choose_held_out(&SplitConfig::default(), &batch("a", 0..20_000), &BTreeMap::new());
        assert!((900..1100).contains(&chosen.len()), "{} of 20000", chosen.len());
    }

    #[test]
    fn small_domain_gives_a_few_but_no_more_than_a_fifth() {
        let config = SplitConfig { fraction: 1e-9, min_per_domain: 4 };
        let chosen = |count, held_out: usize| {
            let held_out = BTreeMap::from([(Domain::new("a").unwrap(), held_out)]);
            choose_held_out(&config, &batch("a", 0..count), &held_out).len()
        };
        assert_eq!([chosen(4, 0), chosen(12, 0), chosen(40, 0), chosen(40, 3), chosen(40, 9)], [0, 2, 4, 1, 0]);
    }

    #[test]
    fn nothing_is_held_out_where_the_fraction_is_zero() {
        let config = SplitConfig { fraction: 0.0, min_per_domain: 4 };
        assert!(choose_held_out(&config, &batch("a", 0..100), &BTreeMap::new()).is_empty());
    }

    proptest! {
        #[test]
        fn order_and_company_do_not_matter_to_lots(count in 1_u32..200, other in 0_u32..50, rotate in 0_usize..200) {
            let config = SplitConfig { fraction: 0.3, min_per_domain: 0 };
            let alone = batch("a", 0..count);
            let mut mixed = [alone.clone(), batch("b", 1000..1000 + other)].concat();
            let middle = rotate % mixed.len();
            mixed.rotate_left(middle);
            let of_alone = choose_held_out(&config, &alone, &BTreeMap::new());
            let of_mixed = choose_held_out(&config, &mixed, &BTreeMap::new());
            prop_assert!(of_alone.is_subset(&of_mixed));
            prop_assert!(alone.iter().all(|(id, _)| of_alone.contains(id) == of_mixed.contains(id)));
        }

        #[test]
        fn top_up_only_adds(count in 1_u32..200, min_per_domain in 0_usize..40, held_out in 0_usize..40) {
            let rows = batch("a", 0..count);
            let held_out = BTreeMap::from([(Domain::new("a").unwrap(), held_out)]);
            let with = |min_per_domain| choose_held_out(&SplitConfig { fraction: 0.1, min_per_domain }, &rows, &held_out);
            let (bare, topped_up) = (with(0), with(min_per_domain));
            prop_assert!(bare.is_subset(&topped_up));
            prop_assert!(topped_up.len() <= bare.len().max(rows.len() / TOP_UP_SHARE));
        }
    }
}

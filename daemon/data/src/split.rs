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

/// One in so many: topping up a domain holds out at most this part of all its samples, so that a small domain is still learned; and
/// a question of which more than this part of its domain's batch are copies is no test of anything, and is trained on.
const SHARE_MAX: usize = 5;

/// A sample of a batch, as the split sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Which sample is held out or not.
    pub id: SampleId,
    /// What it asks: copies of one question stay together.
    pub question: Fingerprint,
    /// Each is split by itself.
    pub domain: Domain,
}

/// A domain's samples on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainSplit {
    /// Those that are held out.
    pub held_out: usize,
    /// Those that are trained on.
    pub training: usize,
}

/// What was split before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// How many samples each domain has by now, whatever batches they came in.
    pub domains: BTreeMap<Domain, DomainSplit>,
    /// On which side the questions of the batch are that came before: whether they are held out.
    pub sides: BTreeMap<Fingerprint, bool>,
}

/// Chooses which samples of a batch are held out. The batch holds no sample twice, and none that was split before.
///
/// All copies of a question, whatever their spelling, domain or answer, fall on one side: where one is already, the others
/// follow. A new question is held out where its lot, a number in `[0, 1)` that depends on it alone, lies below `fraction`:
/// the answer is the same whenever and with whatever it comes. Where a domain would then have fewer than `min_per_domain`,
/// the questions of the batch with the next lots join them, as long as no more than a fifth of all that the domain has is held out:
/// so it comes to its suite in single samples as well.
pub fn choose_held_out(config: &SplitConfig, batch: &[Lot], before: &Split) -> BTreeSet<SampleId> {
    let mut questions: BTreeMap<Fingerprint, BTreeMap<&Domain, usize>> = BTreeMap::new();
    let mut domains: BTreeMap<&Domain, usize> = BTreeMap::new();
    for lot in batch {
        *questions.entry(lot.question).or_default().entry(&lot.domain).or_default() += 1;
        *domains.entry(&lot.domain).or_default() += 1;
    }
    let is_common = |copies: &BTreeMap<&Domain, usize>| {
        copies.iter().any(|(domain, copies)| *copies > 1 && *copies > domains.get(domain).unwrap_or(&0) / SHARE_MAX)
    };
    let mut held_out: BTreeSet<Fingerprint> = BTreeSet::new();
    let mut open: BTreeMap<&Domain, BTreeSet<(Fingerprint, Fingerprint)>> = BTreeMap::new();
    for (question, copies) in &questions {
        let lot = lot(question);
        let is_held_out = match before.sides.get(question) {
            Some(side) => *side,
            None if config.fraction <= 0.0 || is_common(copies) => false,
            None if lot.unit_interval() < config.fraction => true,
            None => {
                for domain in copies.keys() {
                    open.entry(domain).or_default().insert((lot, *question));
                }
                false
            }
        };
        if is_held_out {
            held_out.insert(*question);
        }
    }
    let mut counts: BTreeMap<&Domain, usize> = BTreeMap::new();
    for (domain, copies) in held_out.iter().filter_map(|question| questions.get(question)).flatten() {
        *counts.entry(domain).or_default() += copies;
    }
    for (domain, open) in open {
        let DomainSplit { held_out: held_before, training } = before.domains.get(domain).copied().unwrap_or_default();
        let all = held_before + training + domains.get(domain).unwrap_or(&0);
        let most = (all / SHARE_MAX).saturating_sub(held_before);
        let missing = config.min_per_domain.saturating_sub(held_before);
        for (_, question) in open {
            let copies = &questions[&question];
            let count = counts.get(domain).copied().unwrap_or(0);
            if count >= missing.min(most) {
                break;
            }
            if count + copies[domain] <= most && held_out.insert(question) {
                for (domain, copies) in copies {
                    *counts.entry(domain).or_default() += copies;
                }
            }
        }
    }
    batch.iter().filter(|lot| held_out.contains(&lot.question)).map(|lot| lot.id).collect()
}

/// Salted, so that the split is independent of every other lot that is drawn.
fn lot(question: &Fingerprint) -> Fingerprint {
    Fingerprinter::new().part(b"perennial held-out split 2").part(question.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(domain: &str, ids: std::ops::Range<u32>) -> Vec<Lot> {
        let domain = Domain::new(domain).unwrap();
        let lot = |n: u32| {
            let id = Fingerprint::of(&n.to_le_bytes());
            Lot { id: SampleId(id), question: Fingerprint::of(id.as_bytes()), domain: domain.clone() }
        };
        ids.map(lot).collect()
    }

    fn held_before(held_out: usize) -> Split {
        let before = DomainSplit { held_out, training: 0 };
        Split { domains: BTreeMap::from([(Domain::new("a").unwrap(), before)]), ..Split::default() }
    }

    #[test]
    fn large_domain_gives_its_fraction() {
        let chosen = choose_held_out(&SplitConfig::default(), &batch("a", 0..20_000), &Split::default());
        assert!((900..1100).contains(&chosen.len()), "{} of 20000", chosen.len());
    }

    #[test]
    fn small_domain_gives_a_few_but_no_more_than_a_fifth() {
        let config = SplitConfig { fraction: 1e-9, min_per_domain: 4 };
        let chosen =
            |count, held_out: usize| choose_held_out(&config, &batch("a", 0..count), &held_before(held_out)).len();
        assert_eq!([chosen(4, 0), chosen(12, 0), chosen(40, 0), chosen(40, 3), chosen(40, 9)], [0, 2, 4, 1, 0]);
    }

    #[test]
    fn a_small_domain_that_comes_in_single_samples_has_its_suite_too() {
        let config = SplitConfig { fraction: 1e-9, min_per_domain: 8 };
        let mut before = Split::default();
        let domain = Domain::new("a").unwrap();
        for (at, row) in (1..).zip(batch("a", 0..100)) {
            let held_out = choose_held_out(&config, &[row], &before).len();
            let counts = before.domains.entry(domain.clone()).or_default();
            counts.held_out += held_out;
            counts.training += 1 - held_out;
            assert_eq!(counts.held_out, (at / 5).min(8), "after {at}");
        }
    }

    #[test]
    fn nothing_is_held_out_where_the_fraction_is_zero() {
        let config = SplitConfig { fraction: 0.0, min_per_domain: 4 };
        assert!(choose_held_out(&config, &batch("a", 0..100), &Split::default()).is_empty());
    }

    #[test]
    fn a_copy_follows_the_one_that_came_before() {
        let rows = batch("a", 0..100);
        let sides =
            rows.iter().zip([true, false].into_iter().cycle()).map(|(lot, side)| (lot.question, side)).collect();
        let before = Split { sides, ..Split::default() };
        for fraction in [0.0, 0.4] {
            let config = SplitConfig { fraction, min_per_domain: 50 };
            let chosen = choose_held_out(&config, &rows, &before);
            assert!(
                rows.iter().zip([true, false].into_iter().cycle()).all(|(lot, side)| chosen.contains(&lot.id) == side)
            );
        }
    }

    #[test]
    fn a_question_that_is_most_of_a_domain_is_trained_on() {
        let config = SplitConfig { fraction: 0.9999, min_per_domain: 4 };
        let mut rows = batch("a", 0..40);
        for lot in &mut rows[..30] {
            lot.question = Fingerprint::of(b"the same");
        }
        let chosen = choose_held_out(&config, &rows, &Split::default());
        assert_eq!(chosen, rows[30..].iter().map(|lot| lot.id).collect());
    }

    proptest! {
        #[test]
        fn order_and_company_do_not_matter_to_lots(count in 1_u32..200, other in 0_u32..50, rotate in 0_usize..200) {
            let config = SplitConfig { fraction: 0.3, min_per_domain: 0 };
            let alone = batch("a", 0..count);
            let mut mixed = [alone.clone(), batch("b", 1000..1000 + other)].concat();
            let middle = rotate % mixed.len();
            mixed.rotate_left(middle);
            let of_alone = choose_held_out(&config, &alone, &Split::default());
            let of_mixed = choose_held_out(&config, &mixed, &Split::default());
            prop_assert!(of_alone.is_subset(&of_mixed));
            prop_assert!(alone.iter().all(|lot| of_alone.contains(&lot.id) == of_mixed.contains(&lot.id)));
        }

        #[test]
        fn copies_stay_together_in_any_domain(count in 1_u32..120, copies in 1_u32..5, min_per_domain in 0_usize..20) {
            let mut rows = [batch("a", 0..count), batch("b", 1000..1000 + count)].concat();
            for lot in &mut rows {
                let first = lot.id.0.as_bytes()[0];
                lot.question = Fingerprint::of(&[first / (copies as u8 * 8)]);
            }
            let config = SplitConfig { fraction: 0.2, min_per_domain };
            let chosen = choose_held_out(&config, &rows, &Split::default());
            for lot in &rows {
                let twins = rows.iter().filter(|other| other.question == lot.question);
                prop_assert!(twins.into_iter().all(|other| chosen.contains(&other.id) == chosen.contains(&lot.id)));
            }
        }

        #[test]
        fn top_up_only_adds(count in 1_u32..200, min_per_domain in 0_usize..40, held_out in 0_usize..40) {
            let rows = batch("a", 0..count);
            let before = held_before(held_out);
            let with = |min_per_domain| choose_held_out(&SplitConfig { fraction: 0.1, min_per_domain }, &rows, &before);
            let (bare, topped_up) = (with(0), with(min_per_domain));
            prop_assert!(bare.is_subset(&topped_up));
            prop_assert!(topped_up.len() <= bare.len().max(rows.len() / SHARE_MAX));
        }
    }
}

//! Which items a cycle asks: drawn for each cycle anew from all that there are, or the champions would be chosen for their luck
//! with a few. A draw depends on the seed, the purpose and the item alone: a cycle that goes on after a restart asks the same.

use perennial_types::{Fingerprint, Fingerprinter};

/// Counts up where lots mean something else, so that no draw is taken for another.
const SALT: &[u8] = b"perennial items of a cycle 1";
const VAULT_SALT: &[u8] = b"perennial vault 1";

/// What items are drawn for: draws of two purposes have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To compare with the champion.
    Champion,
    /// To compare with the anchor.
    Anchor,
    /// To see how far the other suites flatter the champion.
    Vault,
    /// For somebody who asks outside a cycle.
    Look,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Anchor => "anchor",
            Self::Vault => "vault",
            Self::Look => "look",
        }
    }
}

/// At most so many of the items, drawn, in the order in which they were drawn. `name` is what an item is called: it may not
/// change from cycle to cycle.
pub(crate) fn draw<T>(
    items: Vec<T>,
    count_max: usize,
    purpose: Purpose,
    seed: u64,
    name: impl Fn(&T) -> &[u8],
) -> Vec<T> {
    let lot = |item: &T| {
        let lot = Fingerprinter::new().part(SALT).part(purpose.as_str().as_bytes()).part(&seed.to_le_bytes());
        lot.part(name(item)).finish()
    };
    let mut lots: Vec<(Fingerprint, T)> = items.into_iter().map(|item| (lot(&item), item)).collect();
    lots.sort_by_key(|(lot, _)| *lot);
    lots.truncate(count_max);
    lots.into_iter().map(|(_, item)| item).collect()
}

/// Whether a held-out question lies in the vault, by a lot of its own that never changes.
pub(crate) fn is_in_vault(question: &Fingerprint, fraction: f64) -> bool {
    let lot = Fingerprinter::new().part(VAULT_SALT).part(question.as_bytes()).finish();
    fraction > 0.0 && lot.unit_interval() < fraction
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(count: usize, purpose: Purpose, seed: u64) -> Vec<String> {
        let items: Vec<String> = (0..300).map(|n| format!("item {n}")).collect();
        draw(items, count, purpose, seed, |item| item.as_bytes())
    }

    #[test]
    fn the_same_cycle_draws_the_same_and_another_draws_others() {
        let first = drawn(60, Purpose::Champion, 7);
        assert_eq!(drawn(60, Purpose::Champion, 7), first);
        assert_eq!(drawn(30, Purpose::Champion, 7), first[..30], "a smaller draw is the beginning of a larger one");
        let one: BTreeSet<&String> = first.iter().collect();
        for other in [drawn(60, Purpose::Champion, 8), drawn(60, Purpose::Anchor, 7)] {
            let both = other.iter().filter(|item| one.contains(item)).count();
            assert!((2..30).contains(&both), "a fifth of a fifth is the same by chance, not {both} of 60");
        }
        assert_eq!(drawn(999, Purpose::Look, 0).len(), 300);
    }

    #[test]
    fn the_vault_is_a_share_that_never_changes() {
        let question = |n: u32| Fingerprint::of(&n.to_le_bytes());
        let count = |fraction| (0..10_000).filter(|n| is_in_vault(&question(*n), fraction)).count();
        assert!((900..1100).contains(&count(0.1)), "{}", count(0.1));
        assert_eq!(count(0.0), 0);
        assert!((0..10_000).all(|n| !is_in_vault(&question(n), 0.1) || is_in_vault(&question(n), 0.2)));
    }
}

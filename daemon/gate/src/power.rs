use crate::{
    Difference, Metric, Policy, RewardScale,
    interval::{student_bound, with_one_more},
    metric::perplexity::NATS_PER_TOKEN_MAX,
};

/// More items than anybody answers twice in a cycle: a margin that asks for more asks for equal answers.
const ITEMS_MAX: usize = 20_000;
/// Below so many items the bounds of a skewed mean of nats hold less often than they say: at 8 items a loss of the margin
/// passes more often than not, whatever the confidence.
const PERPLEXITY_ITEMS_MIN: usize = 30;

/// How many items a suite of this metric and margin needs to have a say: with fewer, one answer that got worse among answers that stayed as they were
/// fails it, and so it refuses nearly every candidate, the better ones too. `None` where no number of items would do: at a
/// margin of 0 any loss is one too many, which is then what was asked for.
///
/// For perplexity, where one item's loss has no unit, it is what the interval takes to hold what it promises.
pub fn items_needed(metric: Metric, reward: Option<&RewardScale>, margin: f64, policy: &Policy) -> Option<usize> {
    match metric {
        Metric::Perplexity => Some(PERPLEXITY_ITEMS_MIN),
        _ => one_loss_passes(reach(metric, reward), margin, policy.confidence),
    }
}

/// The furthest that two scores of an item can be apart.
pub(crate) fn reach(metric: Metric, reward: Option<&RewardScale>) -> f64 {
    match (metric, reward) {
        (Metric::Perplexity, _) => NATS_PER_TOKEN_MAX,
        (_, Some(reward)) => reward.max - reward.min,
        _ => 1.0,
    }
}

/// The fewest items among which one may fall by `reach` within the margin.
fn one_loss_passes(reach: f64, margin: f64, confidence: f64) -> Option<usize> {
    let passes = |n: usize| lower_bound_of_one_loss(n, reach, confidence) >= -margin;
    // Doubled until it passes, then halved between the two: the bound rises with the items.
    let (mut fails, mut enough) = (0, 1);
    while !passes(enough) {
        fails = enough;
        enough *= 2;
        if enough > ITEMS_MAX {
            return None;
        }
    }
    while enough - fails > 1 {
        let middle = fails.midpoint(enough);
        if passes(middle) { enough = middle } else { fails = middle }
    }
    Some(enough)
}

/// What [`difference_interval`](crate::difference_interval) says of `n` items of which one fell by `reach`. Its resamples
/// draw that one and its own pessimistic one as often as a binomial number does, so there is nothing to resample.
fn lower_bound_of_one_loss(n: usize, reach: f64, confidence: f64) -> f64 {
    let mut differences = vec![Difference::from(0.0); n];
    differences[0] = Difference::from(-reach);
    let sample = with_one_more(&differences, reach);
    let drawn = binomial_quantile(sample.len(), 2.0 / sample.len() as f64, confidence);
    let bootstrap = -reach * drawn as f64 / sample.len() as f64;
    bootstrap.min(student_bound(&sample, confidence))
}

/// The least number that a binomial one of `n` draws with this chance each is at most, with this probability.
fn binomial_quantile(n: usize, chance: f64, probability: f64) -> usize {
    if chance >= 1.0 {
        return n;
    }
    let mut mass = (n as f64 * (-chance).ln_1p()).exp();
    let (mut successes, mut reached) = (0, mass);
    while reached < probability && successes < n {
        mass *= (n - successes) as f64 / (successes + 1) as f64 * chance / (1.0 - chance);
        successes += 1;
        reached += mass;
    }
    successes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference_interval;

    #[test]
    fn a_wider_margin_needs_fewer_items_and_none_is_never_enough() {
        let needed = |margin| one_loss_passes(1.0, margin, 0.95);
        let at_default = needed(0.05).unwrap();
        assert!((60..=120).contains(&at_default), "{at_default}");
        let (narrow, wide) = (needed(0.02).unwrap(), needed(0.2).unwrap());
        assert!(narrow > 2 * at_default && wide < at_default / 3, "{narrow}, {wide}");
        assert_eq!(needed(0.0), None);
        assert_eq!(one_loss_passes(2.0, 0.1, 0.95), Some(at_default), "in units of the score");
    }

    #[test]
    fn more_confidence_takes_more_items() {
        let needed = |confidence| one_loss_passes(1.0, 0.05, confidence).unwrap();
        assert!(needed(0.99) > needed(0.9));
    }

    #[test]
    fn the_bound_is_the_gates_own() {
        let policy = Policy { resamples: 20_000, ..Policy::default() };
        for n in [3, 8, 60, 200] {
            let mut differences = vec![Difference::from(0.0); n];
            differences[0] = Difference::from(-1.0);
            let resampled = difference_interval(&differences, &policy, "power").lower;
            let counted = lower_bound_of_one_loss(n, 1.0, 0.95);
            // Means of resamples are whole numbers of items apart.
            assert!((resampled - counted).abs() <= 1.01 / (n + 1) as f64, "{n}: {resampled}, {counted}");
        }
    }

    #[test]
    fn binomial_quantiles_are_those_of_the_tables() {
        assert_eq!(binomial_quantile(10, 0.5, 0.95), 8);
        assert_eq!(binomial_quantile(20, 0.1, 0.95), 4);
        assert_eq!(binomial_quantile(2, 1.0, 0.95), 2);
    }
}

use crate::{Policy, normal, paired::SEEN_ERRORS};

/// The share of items that is answered otherwise after a cycle, where nobody measured it.
pub const CHURN_ASSUMED: f64 = 0.1;
/// More items than anybody answers twice in a cycle: a margin that asks for more asks for equal answers.
const ITEMS_MAX: f64 = 100_000.0;

/// How many items a suite should have: so many that a loss of the margin is caught at the policy's confidence, while a
/// candidate that lost nothing is refused no more often than the policy says over so many tests of harm. With fewer, a suite
/// refuses nobody for being small, but smaller losses than those it can see pass; with more, nothing changes but time.
///
/// `churn` is the share of items on which the two sides differ though nothing was lost; a loss adds its own. `None` where no
/// number of items would do, as for a margin of 0.
pub fn items_needed(margin: f64, churn: f64, tests: usize, policy: &Policy) -> Option<usize> {
    items_at(margin, churn + margin, tests, policy)
}

/// As [`items_needed`], of items whose differences have this variance where the margin is lost.
pub(crate) fn items_at(margin: f64, variance: f64, tests: usize, policy: &Policy) -> Option<usize> {
    // The mean that is refused lies so many standard errors below 0, and so many above -margin.
    let alarm = normal::quantile(1.0 - policy.harm_level() / tests.max(1) as f64);
    let caught = normal::quantile(policy.confidence_charged());
    let items = ((alarm + caught) / margin).powi(2) * variance + 1.0 / margin;
    (items <= ITEMS_MAX).then_some(items.ceil() as usize)
}

/// How many tests of harm there are in a cycle with so many protected suites: one for each and one for all together, beside
/// the champion and, where one is pinned, beside the anchor.
pub fn tests_of_harm(suites: usize, has_anchor: bool) -> usize {
    let alone = suites.max(1) + usize::from(suites > 1);
    if has_anchor { 2 * alone } else { alone }
}

/// The smallest difference of the mean of yes/no scores that so many items could show, before anything is asked
/// ([`Paired::smallest_seen`](crate::Paired::smallest_seen) says it afterwards).
pub fn smallest_seen(items: usize, churn: f64) -> f64 {
    (SEEN_ERRORS * ((churn * items as f64 + 1.0).sqrt() / items.max(1) as f64)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_margins_more_churn_and_more_suites_take_more_items() {
        let policy = Policy::default();
        let needed = |margin, churn, tests| items_needed(margin, churn, tests, &policy).unwrap();
        // ((1.645 + 2.576) / 0.05)² · 0.15 + 20.
        assert_eq!(needed(0.05, 0.1, 1), 1089);
        assert!(needed(0.05, 0.22, 1) > needed(0.05, 0.1, 1));
        assert!(needed(0.05, 0.1, 20) > needed(0.05, 0.1, 1));
        assert!(needed(0.1, 0.1, 1) < 400);
        assert_eq!(items_needed(0.0, 0.1, 1, &policy), None);
        assert_eq!([tests_of_harm(1, false), tests_of_harm(1, true), tests_of_harm(10, true)], [1, 2, 22]);
        assert_eq!(smallest_seen(0, 0.1), 1.0);
        assert!((smallest_seen(200, 0.1) - 2.49 * 21_f64.sqrt() / 200.0).abs() < 1e-12);
    }
}

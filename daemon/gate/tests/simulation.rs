//! What the gate promises, by simulation: planted regressions caught at least 99 times in 100, harmless candidates refused
//! at most 5 times, and bounds that hold at the confidence they name.

use perennial_gate::{Difference, Interval, Metric, Policy, SuiteReport, Verdict, decide, difference_interval};
use perennial_types::Fingerprint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;

const TRIALS: u64 = 400;

/// The share of trials in which an event of probability 0.05 may show up, three standard errors allowed for.
const FIVE_PERCENT: f64 = 0.05 + 3.0 * 0.011;

fn policy(seed: u64) -> Policy {
    Policy { resamples: 200, seed, ..Policy::default() }
}

fn share(event: impl Fn(u64, &mut ChaCha8Rng) -> bool) -> f64 {
    let hits = (0..TRIALS).filter(|trial| event(*trial, &mut ChaCha8Rng::seed_from_u64(*trial))).count();
    hits as f64 / TRIALS as f64
}

fn bounds(trial: u64, n: usize, mut draw: impl FnMut() -> f64) -> Interval {
    let differences: Vec<Difference> = (0..n).map(|_| draw().into()).collect();
    difference_interval(&differences, &policy(trial), "simulated")
}

/// A difference of yes/no scores: lost with one probability, won with another.
fn flip(rng: &mut ChaCha8Rng, lost: f64, won: f64) -> f64 {
    let lot = rng.random::<f64>();
    if lot < lost {
        -1.0
    } else if lot < lost + won {
        1.0
    } else {
        0.0
    }
}

/// Nearly normal, with standard deviation 1.
fn bell(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// A loss of exactly the margin passes at most 5 times in 100, whatever the differences look like. Rare losses need
/// 3 / margin items to be seen at all, which is why their smallest suite has 60.
#[rstest]
#[case::rare_losses(60, 0.05, |rng: &mut ChaCha8Rng| flip(rng, 0.05, 0.0))]
#[case::rare_losses_many(400, 0.05, |rng: &mut ChaCha8Rng| flip(rng, 0.05, 0.0))]
#[case::losses_and_gains(100, 0.05, |rng: &mut ChaCha8Rng| flip(rng, 0.1, 0.05))]
#[case::losses_and_gains_few(20, 0.2, |rng: &mut ChaCha8Rng| flip(rng, 0.3, 0.1))]
#[case::normal_few(5, 0.1, |rng: &mut ChaCha8Rng| -0.1 + 0.3 * bell(rng))]
#[case::normal(40, 0.1, |rng: &mut ChaCha8Rng| -0.1 + 0.3 * bell(rng))]
#[case::skewed(30, 0.2, |rng: &mut ChaCha8Rng| 0.2 * rng.random::<f64>().ln())]
fn a_loss_of_the_margin_passes_at_most_five_times_in_a_hundred(
    #[case] n: usize,
    #[case] margin: f64,
    #[case] draw: fn(&mut ChaCha8Rng) -> f64,
) {
    let passed = share(|trial, rng| bounds(trial, n, || draw(rng)).lower > -margin);
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

/// An item of a perplexity suite: its tokens, log-normal with a few very long ones, and its nats per token. `spread` is
/// between items, and each token adds its own noise, so that short items differ more.
fn document(rng: &mut ChaCha8Rng, loss: f64, spread: f64, skew: f64) -> Difference {
    let weight = (3.0 + skew * bell(rng)).exp().ceil();
    let noise = spread * bell(rng) + 0.5 * bell(rng) / weight.sqrt();
    Difference { value: noise - loss, weight }
}

/// The true mean per token is −margin; items are clusters of tokens, from all equal to a few that hold half of them all.
#[rstest]
#[case::few(8, 0.5, 0.1)]
#[case::even(40, 0.0, 0.1)]
#[case::uneven(40, 1.0, 0.1)]
#[case::very_uneven(40, 1.5, 0.05)]
#[case::many(200, 1.0, 0.05)]
fn a_loss_of_the_margin_per_token_passes_at_most_five_times_in_a_hundred(
    #[case] n: usize,
    #[case] skew: f64,
    #[case] margin: f64,
) {
    let passed = share(|trial, rng| {
        let items: Vec<Difference> = (0..n).map(|_| document(rng, margin, 0.1, skew)).collect();
        difference_interval(&items, &policy(trial), "simulated").lower > -margin
    });
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

/// As above where the loss is one of the longest tenth of the items: what a mean over items would hardly see.
#[rstest]
#[case(60)]
#[case(200)]
fn a_loss_of_long_items_is_seen_by_their_tokens(#[case] n: usize) {
    // A long item has ten times the tokens of a short one, so a tenth of the items are 10/19 of the tokens.
    let (margin, long_loss) = (0.1, 0.19);
    let passed = share(|trial, rng| {
        let item = |at: usize, rng: &mut ChaCha8Rng| match at % 10 {
            0 => Difference { value: 0.05 * bell(rng) - long_loss, weight: 200.0 },
            _ => Difference { value: 0.05 * bell(rng), weight: 20.0 },
        };
        let items: Vec<Difference> = (0..n).map(|at| item(at, rng)).collect();
        difference_interval(&items, &policy(trial), "simulated").lower > -margin
    });
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

#[rstest]
#[case(3)]
#[case(8)]
#[case(30)]
#[case(150)]
fn chance_is_taken_for_an_improvement_at_most_five_times_in_a_hundred(#[case] n: usize) {
    for won in [0.5, 0.1, 0.02] {
        let improved = share(|trial, rng| bounds(trial, n, || flip(rng, won, won)).lower > 0.0);
        assert!(improved <= FIVE_PERCENT, "improved {improved} at {won}");
    }
}

/// The rule of thumb in the documentation of the margin.
#[rstest]
#[case(50, 0.015, 0.13)]
#[case(200, 0.015, 0.05)]
#[case(450, 0.045, 0.05)]
fn no_change_passes_where_the_margin_fits_the_suite(#[case] n: usize, #[case] each_way: f64, #[case] margin: f64) {
    let refused = share(|trial, rng| bounds(trial, n, || flip(rng, each_way, each_way)).lower < -margin);
    assert!(refused <= FIVE_PERCENT, "refused {refused}");
}

/// A whole gate: a target that gains clearly, two protected yes/no suites of 200 items, a protected perplexity suite of 100. The
/// candidate answers 2 % of the protected items otherwise, as often for the better, and loses `fall` on one suite.
fn promoted(trial: u64, rng: &mut ChaCha8Rng, fall: f64, suite_that_falls: usize) -> bool {
    let falls = |at: usize| if at == suite_that_falls { fall } else { 0.0 };
    let mut suites = vec![report(trial, 60, Metric::ExactMatch, false, || flip(rng, 0.02, 0.45))];
    for at in 0..2 {
        suites.push(report(trial, 200, Metric::ExactMatch, true, || flip(rng, 0.01 + falls(at), 0.01)));
    }
    suites.push(report(trial, 100, Metric::Perplexity, true, || 0.05 * bell(rng) - falls(2)));
    decide(&suites, None, &policy(trial)).promotes()
}

fn report(trial: u64, n: usize, metric: Metric, protected: bool, draw: impl FnMut() -> f64) -> SuiteReport {
    let (difference, margin) = (bounds(trial, n, draw), 0.05);
    SuiteReport {
        suite: "simulated".to_owned(),
        domain: None,
        metric,
        plugin: None,
        fingerprint: Fingerprint::of(b"simulated"),
        protected,
        target: !protected,
        margin,
        n,
        items_needed: None,
        tokens: None,
        unjudged: 0,
        unjudged_items: vec![],
        cut: None,
        candidate: difference.mean,
        champion: 0.0,
        difference,
        verdict: Verdict::of(n, 0, None, &difference, margin, &policy(trial)),
        worst: vec![],
    }
}

#[test]
fn harmless_candidates_are_refused_at_most_five_times_in_a_hundred() {
    let refused = 1.0 - share(|trial, rng| promoted(trial, rng, 0.0, 0));
    assert!(refused <= 0.05, "refused {refused}");
}

#[rstest]
#[case::first_suite(0)]
#[case::second_suite(1)]
#[case::perplexity(2)]
fn planted_regressions_are_caught_ninety_nine_times_in_a_hundred(#[case] suite: usize) {
    let caught = 1.0 - share(|trial, rng| promoted(trial, rng, 0.1, suite));
    assert!(caught >= 0.99, "caught {caught}");
}

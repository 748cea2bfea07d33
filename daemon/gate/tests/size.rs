//! How often the parts of the gate are wrong by chance, by simulation with a fixed seed: bounds that hold at the confidence that
//! they name, and tests that find what is not there no more often than they say. The gate as a whole is simulated by
//! `cargo xtask gate-sim`.

use perennial_gate::{Difference, Paired, Scale};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;

const TRIALS: u64 = 600;

/// The share of trials in which an event of probability 0.05 may show up, three standard errors allowed for.
const FIVE_PERCENT: f64 = 0.05 + 3.0 * 0.009;

fn share(event: impl Fn(&mut ChaCha8Rng) -> bool) -> f64 {
    let hits = (0..TRIALS).filter(|trial| event(&mut ChaCha8Rng::seed_from_u64(*trial))).count();
    hits as f64 / TRIALS as f64
}

fn lower(paired: &Paired) -> f64 {
    paired.interval(0.95, 400, 7, "simulated").lower
}

fn paired(scale: Scale, n: usize, mut draw: impl FnMut() -> f64) -> Paired {
    Paired::new(scale, (0..n).map(|_| draw().into()).collect())
}

/// A difference of yes/no scores: lost with one probability, won with another.
fn flip(rng: &mut ChaCha8Rng, lost: f64, won: f64) -> f64 {
    let lot = rng.random::<f64>();
    if lot < lost { -1.0 } else { f64::from(u8::from(lot < lost + won)) }
}

/// Nearly normal, with standard deviation 1.
fn bell(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Of yes/no items: few changes and many, from where a suite stands alone.
#[rstest]
#[case(60, 0.05, 0.0)]
#[case(100, 0.07, 0.02)]
#[case(100, 0.15, 0.10)]
#[case(400, 0.05, 0.0)]
#[case(400, 0.15, 0.10)]
fn a_loss_of_the_margin_is_ruled_out_at_most_five_times_in_a_hundred(
    #[case] n: usize,
    #[case] lost: f64,
    #[case] won: f64,
) {
    let passed = share(|rng| lower(&paired(Scale::Binary, n, || flip(rng, lost, won))) >= -0.05);
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

/// Of graded items: even, skewed, and such that lose rarely and then all.
#[rstest]
#[case::bell(60, |rng: &mut ChaCha8Rng| (-0.05 + 0.2 * bell(rng)).clamp(-1.0, 1.0))]
#[case::bell_many(300, |rng: &mut ChaCha8Rng| (-0.05 + 0.2 * bell(rng)).clamp(-1.0, 1.0))]
#[case::skewed(100, |rng: &mut ChaCha8Rng| (0.05 * rng.random::<f64>().ln()).max(-1.0))]
#[case::rare(100, |rng: &mut ChaCha8Rng| if rng.random::<f64>() < 0.1 { -0.5 } else { 0.0 })]
#[case::rare_and_all(200, |rng: &mut ChaCha8Rng| flip(rng, 0.05, 0.0))]
fn a_graded_loss_of_the_margin_is_ruled_out_at_most_five_times_in_a_hundred(
    #[case] n: usize,
    #[case] draw: fn(&mut ChaCha8Rng) -> f64,
) {
    let passed = share(|rng| lower(&paired(Scale::Graded { reach: 1.0 }, n, || draw(rng))) >= -0.05);
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

/// An item of a perplexity suite: its tokens, log-normal with a few very long ones, and its nats per token. Short items differ
/// more, since each token adds its own noise.
fn document(rng: &mut ChaCha8Rng, loss: f64, skew: f64) -> Difference {
    let weight = (3.0 + skew * bell(rng)).exp().ceil();
    Difference { value: 0.1 * bell(rng) + 0.5 * bell(rng) / weight.sqrt() - loss, weight }
}

#[rstest]
#[case::even(40, 0.0)]
#[case::uneven(60, 1.0)]
#[case::very_uneven(100, 1.5)]
fn a_loss_of_the_margin_per_token_is_ruled_out_at_most_five_times_in_a_hundred(#[case] n: usize, #[case] skew: f64) {
    let passed = share(|rng| {
        let items = (0..n).map(|_| document(rng, 0.1, skew)).collect();
        lower(&Paired::new(Scale::Nats { margin: 0.1 }, items)) >= -0.1
    });
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
}

/// All items of a cluster are answered alike: as if there were a quarter of them. Taken for single ones they would pass
/// three times as often.
#[rstest]
#[case(30, 4)]
#[case(100, 4)]
#[case(60, 10)]
fn items_of_clusters_are_no_more_than_their_clusters(#[case] clusters: usize, #[case] each: usize) {
    let drawn = |rng: &mut ChaCha8Rng, lost: f64, won: f64| {
        let values: Vec<f64> = (0..clusters).map(|_| flip(rng, lost, won)).collect();
        let items = values.iter().flat_map(|value| vec![Difference::from(*value); each]).collect();
        let paired = Paired::new(Scale::Binary, items);
        (paired.clone(), paired.in_clusters((0..clusters * each).map(|at| at / each).collect()))
    };
    let passed = share(|rng| lower(&drawn(rng, 0.15, 0.05).1) >= -0.1);
    assert!(passed <= FIVE_PERCENT, "passed {passed}");
    let harmed = share(|rng| drawn(rng, 0.1, 0.1).1.harm(7, "simulated") <= 0.05);
    assert!(harmed <= FIVE_PERCENT, "harmed {harmed}");
    let taken_apart = share(|rng| drawn(rng, 0.1, 0.1).0.harm(7, "simulated") <= 0.05);
    assert!(taken_apart > 0.1, "{taken_apart}");
}

/// Harm and gains alike, of one item and of many.
#[rstest]
#[case(1)]
#[case(8)]
#[case(30)]
#[case(300)]
fn chance_is_taken_for_harm_or_a_gain_at_most_five_times_in_a_hundred(#[case] n: usize) {
    for each_way in [0.01, 0.1, 0.4] {
        let found = |scale| {
            let drawn = |rng: &mut ChaCha8Rng| paired(scale, n, || flip(rng, each_way, each_way));
            let harmed = share(|rng| drawn(rng).harm(7, "simulated") <= 0.05);
            (harmed, share(|rng| drawn(rng).gain(7, "simulated") <= 0.05))
        };
        // Random signs of many items take their time, and come to the same.
        let graded = if n <= 30 { Scale::Graded { reach: 1.0 } } else { Scale::Binary };
        for (harmed, gained) in [found(Scale::Binary), found(graded)] {
            assert!(harmed <= FIVE_PERCENT && gained <= FIVE_PERCENT, "{each_way}: {harmed} {gained}");
        }
    }
    let skewed =
        |rng: &mut ChaCha8Rng| paired(Scale::Graded { reach: 1.0 }, n, || (1.0 + rng.random::<f64>().ln()) / 4.0);
    let harmed = share(|rng| skewed(rng).harm(7, "simulated") <= 0.05);
    assert!(harmed <= FIVE_PERCENT + 0.03, "a skewed mean of {n}: {harmed}");
}

/// Plain harm is found, whatever the scale.
#[rstest]
#[case(Scale::Binary)]
#[case(Scale::Graded { reach: 1.0 })]
fn what_is_plain_is_found(#[case] scale: Scale) {
    let found = share(|rng| paired(scale, 60, || flip(rng, 0.40, 0.05)).harm(7, "simulated") <= 0.01);
    assert!(found >= 0.95, "found {found}");
}

use crate::random::Random;

/// What is drawn as a whole: the weighted sum of its differences, and the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unit {
    pub(crate) sum: f64,
    pub(crate) weight: f64,
}

/// The lower bound of `Σ sum / Σ weight` over resamples of the units, each within its stratum (`strata` are the lengths of
/// consecutive stretches), with one more unit among them that may be drawn anywhere: one that loses `unseen`.
pub(crate) fn lower_bound(
    units: &[Unit],
    strata: &[usize],
    unseen: f64,
    confidence: f64,
    resamples: usize,
    mut random: Random,
) -> f64 {
    let weight = units.iter().map(|unit| unit.weight).sum::<f64>() / units.len() as f64;
    let against = Unit { sum: -unseen * weight, weight };
    let mut means: Vec<f64> = (0..resamples).map(|_| resampled_mean(units, strata, against, &mut random)).collect();
    // The k-th smallest of B means with k = alpha * (B + 1) (Davison and Hinkley 1997, 5.2.1), rounded to the safe side.
    let rank = ((1.0 - confidence) * (resamples + 1) as f64).floor().max(1.0) as usize;
    let (_, bound, _) = means.select_nth_unstable_by(rank - 1, f64::total_cmp);
    *bound
}

fn resampled_mean(units: &[Unit], strata: &[usize], against: Unit, random: &mut Random) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut add = |Unit { sum: more, weight }: Unit| {
        sum += more;
        weights += weight;
    };
    let everywhere = units.len() + 1;
    let mut first = 0;
    for &len in strata {
        for _ in 0..len {
            let is_against = random.below(everywhere) == 0;
            add(if is_against { against } else { units[first + random.below(len)] });
        }
        first += len;
    }
    // The place of the one more.
    let anywhere = random.below(everywhere);
    add(if anywhere == units.len() { against } else { units[anywhere] });
    sum / weights
}

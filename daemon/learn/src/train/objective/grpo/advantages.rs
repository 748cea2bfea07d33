use super::{Estimator, ScaleRewards, scales::Deviations};

/// A standard deviation up to this is none (`torch.isclose`).
const DEVIATION_MIN: f64 = 1e-8;

/// How much better each answer of a group is than the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// One per answer; 0 where nothing scored it.
    pub values: Vec<f64>,
    /// Whether the scored rewards of the group differ at all. Where they do not, every advantage is 0.
    pub varied: bool,
}

/// Turns the rewards of a generation into advantages, group by group: A = (r − b) / s, with the baseline b by `estimator` and
/// the divisor s by `scale` (TRL, `GRPOTrainer._generate_and_score_completions`). A reward that is `None` is in neither
/// baseline nor deviation. Deviations have Bessel's correction.
pub fn advantages(rewards: &[Vec<Option<f64>>], estimator: Estimator, scale: ScaleRewards) -> Vec<Advantages> {
    let batch: Vec<f64> = rewards.iter().flatten().copied().flatten().collect();
    let batch_deviation = deviation(&batch);
    let of_group = |group: &Vec<Option<f64>>| {
        let scored: Vec<f64> = group.iter().copied().flatten().collect();
        let (own_deviation, varied) = (deviation(&scored), varies(group));
        if !varied {
            return Advantages { values: vec![0.0; group.len()], varied };
        }
        let divisor = scale.way().divisor(Deviations { group: own_deviation, batch: batch_deviation });
        let (count, mean) = (scored.len() as f64, mean(&scored));
        let lead = match estimator {
            Estimator::Grpo => 1.0,
            // r − mean of the others = n / (n − 1) · (r − mean of all).
            Estimator::Rloo => count / (count - 1.0),
        };
        let advantage = |reward: &Option<f64>| reward.map_or(0.0, |reward| lead * (reward - mean) / divisor);
        Advantages { values: group.iter().map(advantage).collect(), varied }
    };
    rewards.iter().map(of_group).collect()
}

/// Whether the rewards of a group that were scored differ.
pub(super) fn varies(rewards: &[Option<f64>]) -> bool {
    let scored: Vec<f64> = rewards.iter().copied().flatten().collect();
    deviation(&scored) > DEVIATION_MIN
}

/// 0 where there is nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The sample's standard deviation; 0 where there is no second value.
pub(super) fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(rewards: &[f64]) -> Vec<Option<f64>> {
        rewards.iter().copied().map(Some).collect()
    }

    fn values(groups: &[Vec<Option<f64>>], estimator: Estimator, scale: ScaleRewards) -> Vec<Vec<f64>> {
        advantages(groups, estimator, scale).into_iter().map(|group| group.values).collect()
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn the_baseline_is_the_groups_and_the_scale_is_chosen() {
        let groups = [all(&[1.0, 3.0]), all(&[0.0, 1.0])];
        let got = |scale| values(&groups, Estimator::Grpo, scale).concat();
        assert_close(&got(ScaleRewards::None), &[-1.0, 1.0, -0.5, 0.5]);
        let (first, second) = (2.0_f64.sqrt() + 1e-4, 0.5_f64.sqrt() + 1e-4);
        assert_close(&got(ScaleRewards::Group), &[-1.0 / first, 1.0 / first, -0.5 / second, 0.5 / second]);
        // The rewards 1, 3, 0, 1 have the variance 4.75 / 3.
        let batch = (4.75_f64 / 3.0).sqrt() + 1e-4;
        assert_close(&got(ScaleRewards::Batch), &[-1.0 / batch, 1.0 / batch, -0.5 / batch, 0.5 / batch]);
    }

    #[test]
    fn what_nothing_scored_is_out_of_the_baseline() {
        let group = vec![Some(1.0), None, Some(2.0), Some(6.0)];
        let got = values(&[group], Estimator::Grpo, ScaleRewards::None).concat();
        assert_close(&got, &[-2.0, 0.0, -1.0, 3.0]);
    }

    #[test]
    fn leave_one_out_compares_with_the_others() {
        let group = vec![Some(1.0), None, Some(2.0), Some(6.0)];
        let got = values(&[group], Estimator::Rloo, ScaleRewards::None).concat();
        assert_close(&got, &[1.0 - 4.0, 0.0, 2.0 - 3.5, 6.0 - 1.5]);
    }

    #[test]
    fn groups_that_do_not_vary_teach_nothing() {
        for scale in ScaleRewards::ALL.iter().copied() {
            let groups = [all(&[0.1; 8]), vec![None, Some(3.0), None], vec![None; 2], all(&[1.0, 2.0])];
            let got = advantages(&groups, Estimator::Grpo, scale);
            assert!(got[..3].iter().all(|group| !group.varied && group.values.iter().all(|value| *value == 0.0)));
            assert!(got[3].varied);
        }
    }

    proptest! {
        #[test]
        fn advantages_sum_to_zero_and_keep_the_order(rewards in prop::collection::vec(prop::option::of(-5.0_f64..5.0), 2..12)) {
            for scale in ScaleRewards::ALL.iter().copied() {
                for estimator in [Estimator::Grpo, Estimator::Rloo] {
                    let got = values(std::slice::from_ref(&rewards), estimator, scale).concat();
                    prop_assert!(got.iter().sum::<f64>().abs() < 1e-6);
                    for (one, a) in rewards.iter().zip(&got) {
                        for (other, b) in rewards.iter().zip(&got) {
                            prop_assert!(one.is_none() || other.is_none() || (one < other) <= (a <= b));
                        }
                    }
                }
            }
        }
    }
}

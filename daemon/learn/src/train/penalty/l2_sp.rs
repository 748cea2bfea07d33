use serde::{Deserialize, Serialize};

use super::{Past, Penalty};
use crate::train::{TrainError, parameters::Parameters};

/// L2-SP (Li, Grandvalet and Davoine, arXiv 1802.01483, eq. 3): α/2 · Σ (θ − θ⁰)² over all numbers of the adapter, θ⁰ being the
/// champion's. There, numbers that have no starting point decay towards 0; an adapter that goes on has none of them.
struct L2Sp {
    weight: f64,
    champion: Parameters,
}

/// The keys of L2-SP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L2SpConfig {
    /// α. Default 0: off.
    pub weight: f64,
}

pub(super) const FIGURE: &str = "penalty/l2_sp";

pub(super) fn of(config: &L2SpConfig, past: Past<'_>) -> Result<Option<Box<dyn Penalty>>, TrainError> {
    let weight = config.weight;
    let Some(champion) = past.champion.filter(|_| weight > 0.0) else { return Ok(None) };
    Ok(Some(Box::new(L2Sp { weight, champion: Parameters::from_adapter(champion)? })))
}

impl Penalty for L2Sp {
    fn figure(&self) -> &'static str {
        FIGURE
    }

    fn add(&self, parameters: &Parameters, gradients: &mut [Vec<f32>]) -> f64 {
        let mut sum = 0.0;
        let matrices = parameters.matrices.iter().zip(&self.champion.matrices).zip(gradients);
        for ((now, champion), gradient) in matrices {
            for ((now, champion), gradient) in now.values.iter().zip(&champion.values).zip(gradient) {
                let way = f64::from(*now) - f64::from(*champion);
                sum += way * way;
                *gradient += (self.weight * way) as f32;
            }
        }
        0.5 * self.weight * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::penalty::testing::{agrees_with_finite_differences, champion, elsewhere};

    #[test]
    fn is_half_the_squared_distance_and_pulls_back() {
        let (champion, parameters) = (champion(), elsewhere());
        let config = L2SpConfig { weight: 0.4 };
        let past = Past { champion: Some(&champion), ..Past::default() };
        let penalty = of(&config, past).unwrap().unwrap();
        let from = Parameters::from_adapter(&champion).unwrap();
        let squares: f64 = parameters
            .values()
            .concat()
            .iter()
            .zip(from.values().concat())
            .map(|(one, other)| f64::from(one - other).powi(2))
            .sum();
        agrees_with_finite_differences(&*penalty, &parameters, 0.2 * squares);
        let mut untouched = vec![vec![1.0; 1]; from.matrices.len()];
        assert_eq!(penalty.add(&from, &mut untouched), 0.0);
        assert!(untouched.concat().iter().all(|value| *value == 1.0));
        assert!(of(&L2SpConfig::default(), past).unwrap().is_none() && of(&config, Past::default()).unwrap().is_none());
    }
}

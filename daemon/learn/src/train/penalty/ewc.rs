use serde::{Deserialize, Serialize};

use super::{Past, Penalty};
use crate::train::{TrainError, parameters::Parameters};

/// Elastic weight consolidation (Kirkpatrick et al., arXiv 1612.00796, eq. 3) with a running Fisher information (online EWC: Schwarz
/// et al., arXiv 1805.06370, section 4): λ/2 · Σ Fᵢ · (θᵢ − θ*ᵢ)² over all numbers of the adapter, θ* being the champion's. After each
/// cycle F becomes γ · F + the Fisher information of that cycle ([`Fisher`](super::Fisher)). Avalanche has no 1/2, so the same
/// penalty takes twice its λ here.
struct Ewc {
    weight: f64,
    champion: Parameters,
    fisher: Vec<Vec<f32>>,
}

/// The keys of elastic weight consolidation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EwcConfig {
    /// λ. Default 0: off.
    pub weight: f64,
    /// γ. Default 0.9.
    pub decay: f64,
    /// Batches that the Fisher information of a cycle is measured on, at most. Default 16.
    pub batches_max: u64,
}

impl Default for EwcConfig {
    fn default() -> Self {
        Self { weight: 0.0, decay: 0.9, batches_max: 16 }
    }
}

pub(super) const FIGURE: &str = "penalty/ewc";

pub(super) fn of(config: &EwcConfig, past: Past<'_>) -> Result<Option<Box<dyn Penalty>>, TrainError> {
    let (weight, Past { champion, fisher, .. }) = (config.weight, past);
    let (Some(champion), Some(fisher)) = (champion.filter(|_| weight > 0.0), fisher) else { return Ok(None) };
    let champion = Parameters::from_adapter(champion)?;
    let fisher = fisher.of(&champion)?;
    Ok(Some(Box::new(Ewc { weight, champion, fisher })))
}

impl Penalty for Ewc {
    fn figure(&self) -> &'static str {
        FIGURE
    }

    fn add(&self, parameters: &Parameters, gradients: &mut [Vec<f32>]) -> f64 {
        let mut sum = 0.0;
        let matrices = parameters.matrices.iter().zip(&self.champion.matrices).zip(&self.fisher).zip(gradients);
        for (((now, champion), fisher), gradient) in matrices {
            let numbers = now.values.iter().zip(&champion.values).zip(fisher).zip(gradient);
            for (((now, champion), fisher), gradient) in numbers {
                let (way, fisher) = (f64::from(*now) - f64::from(*champion), f64::from(*fisher));
                sum += fisher * way * way;
                *gradient += (self.weight * fisher * way) as f32;
            }
        }
        0.5 * self.weight * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::penalty::{
        Fisher,
        testing::{agrees_with_finite_differences, champion, elsewhere},
    };

    #[test]
    fn is_the_weighted_squared_distance_and_pulls_back() {
        let (champion, parameters) = (champion(), elsewhere());
        let from = Parameters::from_adapter(&champion).unwrap();
        let information = |at: usize| (at % 7) as f32 / 5.0;
        let values: Vec<Vec<f32>> =
            from.matrices.iter().map(|matrix| (0..matrix.values.len()).map(information).collect()).collect();
        let fisher = Fisher::new(&from.with(&values), champion.fingerprint().unwrap());
        let config = EwcConfig { weight: 30.0, ..EwcConfig::default() };
        let past = Past { champion: Some(&champion), fisher: Some(&fisher), ..Past::default() };
        let penalty = of(&config, past).unwrap().unwrap();
        let mut expected = 0.0;
        for ((now, before), fisher) in parameters.values().iter().zip(from.values()).zip(&values) {
            for ((now, before), fisher) in now.iter().zip(before).zip(fisher) {
                expected += 15.0 * f64::from(*fisher) * f64::from(now - before).powi(2);
            }
        }
        agrees_with_finite_differences(&*penalty, &parameters, expected);
        assert!(of(&config, Past { fisher: None, ..past }).unwrap().is_none());
        assert!(of(&EwcConfig::default(), past).unwrap().is_none());
    }
}

use std::f64::consts::TAU;

/// Rotary position encoding (RoFormer, Su 2021), in the row order of Hugging Face ("rotate half").
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the geometric series of wave lengths.
    pub theta: f64,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As they are.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: long waves divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// The divisor of the long waves.
        factor: f64,
        /// Waves longer than `original_positions / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Waves shorter than `original_positions / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context length of pre-training.
        original_positions: usize,
    },
    /// YaRN (arXiv 2309.00071): as Llama 3.1, with a ramp over planes, and longer queries and keys.
    Yarn(Yarn),
}

/// The parameters of [`RopeScaling::Yarn`].
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// The divisor of the long waves.
    pub factor: f64,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f64,
    /// Planes that turn more often than this within `original_positions` are kept.
    pub beta_fast: f64,
    /// Planes that turn less often are divided.
    pub beta_slow: f64,
    /// The context length of pre-training.
    pub original_positions: usize,
    /// Whether the ramp begins and ends at whole planes.
    pub truncate: bool,
}

impl Rope {
    /// What cosines and sines are multiplied by.
    pub fn attention_scaling(&self) -> f32 {
        match &self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor as f32,
            RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Llama3 { .. } => 1.0,
        }
    }

    /// The angular frequency of each of the `head_dim / 2` planes, in radians per position. Computed in f32 as
    /// transformers does (`modeling_rope_utils.py`), so that the angles agree to the last bit at long positions.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain = (0..head_dim / 2).map(|plane| {
            let exponent = (2 * plane) as f32 / head_dim as f32;
            1.0 / (self.theta as f32).powf(exponent)
        });
        match &self.scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / *factor as f32).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                let original = *original_positions as f64;
                plain
                    .map(|frequency| {
                        let wave_length = TAU / f64::from(frequency);
                        if wave_length < original / high_freq_factor {
                            return frequency;
                        }
                        if wave_length > original / low_freq_factor {
                            return (f64::from(frequency) / factor) as f32;
                        }
                        let share = (original / wave_length - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        ((1.0 - share) * f64::from(frequency) / factor + share * f64::from(frequency)) as f32
                    })
                    .collect()
            }
            RopeScaling::Yarn(yarn) => {
                let (low, high) = yarn.ramp(self.theta, head_dim);
                let divided = |frequency: f32| frequency / yarn.factor as f32;
                let kept = |plane: usize| 1.0 - ((plane as f32 - low) / (high - low)).clamp(0.0, 1.0);
                let planes = plain.enumerate();
                planes.map(|(plane, f)| divided(f) * (1.0 - kept(plane)) + f * kept(plane)).collect()
            }
        }
    }
}

impl Yarn {
    /// The plane where the ramp begins and that where it ends.
    fn ramp(&self, theta: f64, head_dim: usize) -> (f32, f32) {
        let plane =
            |turns: f64| head_dim as f64 * (self.original_positions as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (low, high) = (plane(self.beta_fast), plane(self.beta_slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
        // As the reference keeps from dividing by zero.
        (low as f32, if low == high { high as f32 + 0.001 } else { high as f32 })
    }

    /// The factor that the paper recommends for queries and keys, from the factor and its weights for both, where a file has those.
    pub(super) fn attention_factor(factor: f64, weights: Option<(f64, f64)>) -> f64 {
        let length = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
        weights.map_or_else(|| length(1.0), |(scale, all)| length(scale) / length(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_scaling_keeps_short_waves_and_divides_long_ones() {
        let plain = Rope { theta: 500_000.0, scaling: RopeScaling::None };
        let scaled = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_positions: 8192,
            },
        };
        let (plain, scaled) = (plain.inverse_frequencies(128), scaled.inverse_frequencies(128));
        assert_eq!(plain[0], 1.0);
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        let ratios: Vec<f32> = plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled).collect();
        assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-6)), "{ratios:?}");
        assert!(ratios.iter().any(|&ratio| ratio > 1.1 && ratio < 7.9));
    }

    #[test]
    fn yarn_recommends_the_papers_attention_factor() {
        assert_eq!(Yarn::attention_factor(1.0, None), 1.0);
        assert_eq!(Yarn::attention_factor(4.0, None), 0.1 * 4.0_f64.ln() + 1.0);
        assert_eq!(Yarn::attention_factor(40.0, Some((1.0, 1.0))), 1.0);
    }
}

use candle_core::{Device, Result, Tensor};
use perennial_kernels::Weight;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The smoothing of frequencies, as in the paper.
const A: f64 = 1e-3;
/// Tokens that what texts have in common is taken from: nearly all of any text is made of the most frequent ones.
const COMMON_TOKENS: usize = 8192;
/// Directions that are taken off.
const COMPONENTS: usize = 3;
/// Rounds of the power iteration. The components need not be sharp: three of a few strong ones are as good as the first.
const ROUNDS: usize = 12;

/// Smooth inverse frequency over a table of token embeddings.
///
/// A token weighs `a / (a + p)`. The paper takes the probability `p` from a corpus; here it comes from Zipf's law over the
/// token's id, since byte-pair merges are learned in order of frequency. The paper then takes the first principal component
/// of the sentences off; here a text's expected vector under Zipf's law is, and the first principal components of its
/// tokens (Mu and Viswanath: "All-but-the-top", ICLR 2018). Without that every text is near every other: the embeddings of
/// a language model mostly say how frequent a token is.
#[derive(Clone)]
pub(super) struct Sif {
    embeddings: Weight,
    /// The expected embedding of a weighted token, `[hidden]`.
    centre: Vec<f32>,
    /// What tokens have in common besides: orthonormal rows of `[hidden]`.
    common: Vec<Vec<f32>>,
    zipf: Zipf,
}

/// Zipf's law: the token of rank r has the probability 1/r, divided by the sum over the vocabulary.
#[derive(Clone, Copy)]
struct Zipf {
    harmonic: f64,
}

impl Sif {
    pub(super) fn new(embeddings: &Weight) -> Result<Self> {
        let (vocab, hidden) = (embeddings.outputs(), embeddings.inputs());
        let zipf = Zipf { harmonic: (1..=vocab).map(|rank| 1.0 / rank as f64).sum() };

        let count = vocab.min(COMMON_TOKENS);
        let shares: Vec<f64> = (0..count as u32).map(|token| zipf.probability(token) * zipf.weight(token)).collect();
        let sum: f64 = shares.iter().sum();
        let column = |value: &dyn Fn(f64) -> f64| {
            let values: Vec<f32> = shares.iter().map(|share| value(share / sum) as f32).collect();
            Tensor::from_vec(values, (count, 1), &Device::Cpu)
        };
        let mut frequent = vec![0.0; count * hidden];
        frequent.chunks_exact_mut(hidden).enumerate().for_each(|(token, row)| embeddings.row_into(token, row));
        let frequent = Tensor::from_vec(frequent, (count, hidden), &Device::Cpu)?;
        let centre = frequent.broadcast_mul(&column(&|share| share)?)?.sum(0)?;
        let scaled = frequent.broadcast_sub(&centre)?.broadcast_mul(&column(&f64::sqrt)?)?;
        let common = principal_components(&scaled, COMPONENTS.min(hidden - 1))?.to_vec2()?;
        Ok(Self { embeddings: embeddings.clone(), centre: centre.to_vec1()?, common, zipf })
    }

    /// The weighted mean of the tokens' embeddings without what all texts have in common, `[hidden]`.
    pub(super) fn mean(&self, tokens: &[u32]) -> Vec<f64> {
        let (mut mean, mut row) = (vec![0.0; self.centre.len()], vec![0.0; self.centre.len()]);
        for token in tokens {
            let weight = self.zipf.weight(*token) / tokens.len() as f64;
            self.embeddings.row_into(*token as usize, &mut row);
            let centred = row.iter().zip(&self.centre).map(|(value, centre)| f64::from(value - centre));
            mean.iter_mut().zip(centred).for_each(|(mean, value)| *mean += weight * value);
        }
        let shared = |direction: &Vec<f32>| mean.iter().zip(direction).map(|(mean, at)| mean * f64::from(*at)).sum();
        let shared: Vec<f64> = self.common.iter().map(shared).collect();
        for (direction, shared) in self.common.iter().zip(shared) {
            mean.iter_mut().zip(direction).for_each(|(mean, at)| *mean -= shared * f64::from(*at));
        }
        mean
    }
}

impl Zipf {
    fn probability(self, token: u32) -> f64 {
        1.0 / (f64::from(token + 1) * self.harmonic)
    }

    fn weight(self, token: u32) -> f64 {
        A / (A + self.probability(token))
    }
}

/// The first principal components of centred rows, as orthonormal rows, by block power iteration.
fn principal_components(rows: &Tensor, count: usize) -> Result<Tensor> {
    let hidden = rows.dim(1)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut basis: Vec<Vec<f64>> =
        (0..count).map(|_| (0..hidden).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
    orthonormalize(&mut basis);
    let transposed = rows.t()?.contiguous()?;
    for _ in 0..ROUNDS {
        let applied = transposed.matmul(&rows.matmul(&as_rows(&basis, hidden)?.t()?)?)?.t()?.to_vec2::<f32>()?;
        basis = applied.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect();
        orthonormalize(&mut basis);
    }
    as_rows(&basis, hidden)
}

/// Gram and Schmidt's; a row that depends on those before it becomes zeros.
fn orthonormalize(basis: &mut [Vec<f64>]) {
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    for index in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(index);
        let Some(row) = rest.first_mut() else { return };
        for other in before {
            let shared = dot(row, other);
            row.iter_mut().zip(other.iter()).for_each(|(value, other)| *value -= shared * other);
        }
        let norm = dot(row, row).sqrt();
        let scale = if norm > f64::EPSILON { 1.0 / norm } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

fn as_rows(basis: &[Vec<f64>], width: usize) -> Result<Tensor> {
    let values = basis.iter().flatten().map(|value| *value as f32).collect();
    Tensor::from_vec(values, (basis.len(), width), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_tokens_weigh_more() {
        let zipf = Zipf { harmonic: 11.4 };
        assert!(zipf.weight(0) < 0.02 && zipf.weight(40_000) > 0.99);
    }

    #[test]
    fn components_are_the_axes_of_greatest_spread() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let spread = [0.1, 5.0, 0.2, 3.0_f32];
        let values = (0..4000).map(|at| spread[at % 4] * rng.random_range(-1.0..1.0)).collect();
        let rows = Tensor::from_vec(values, (1000, 4), &Device::Cpu).unwrap();
        let found = principal_components(&rows, 2).unwrap().to_vec2::<f32>().unwrap();
        assert!(found[0][1].abs() > 0.99 && found[1][3].abs() > 0.99, "{found:?}");
    }

    #[test]
    fn what_all_tokens_share_is_gone() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let values = (0..64 * 8).map(|at| if at % 8 == 0 { 9.0_f32 } else { rng.random_range(-1.0..1.0) }).collect();
        let sif = Sif::new(&Weight::from_f32(values, 64, 8)).unwrap();
        let mean = sif.mean(&[3, 9, 60]);
        assert!(mean[0].abs() < 1e-4, "{mean:?}");
        assert!(mean.iter().any(|value| value.abs() > 1e-2));
    }
}

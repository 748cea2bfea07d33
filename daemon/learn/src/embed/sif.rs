use candle_core::{Device, Result, Tensor};

/// The smoothing of frequencies, as in the paper.
const A: f64 = 1e-3;

/// Smooth inverse frequency over a table of token embeddings.
///
/// A token weighs `a / (a + p)`. The paper takes the probability `p` from a corpus; here it comes from Zipf's law over the
/// token's id, since byte-pair merges are learned in order of frequency. The paper then removes the first principal
/// component of the sentences; here the vocabulary's mean embedding is taken off each token's, which is the direction
/// that they all share and needs no corpus either.
#[derive(Clone)]
pub(super) struct Sif {
    embeddings: Tensor,
    mean: Tensor,
    /// The sum of 1/rank over the vocabulary, which makes Zipf's law sum to one.
    harmonic: f64,
}

impl Sif {
    pub(super) fn new(embeddings: &Tensor) -> Result<Self> {
        let harmonic = (1..=embeddings.dim(0)?).map(|rank| 1.0 / rank as f64).sum();
        Ok(Self { embeddings: embeddings.clone(), mean: embeddings.mean(0)?, harmonic })
    }

    /// The weighted mean of the tokens' embeddings, `[hidden]`.
    pub(super) fn mean(&self, tokens: &[u32]) -> Result<Tensor> {
        let weights: Vec<f32> = tokens.iter().map(|token| self.weight(*token) / tokens.len() as f32).collect();
        let ids = Tensor::from_slice(tokens, tokens.len(), &Device::Cpu)?;
        let centred = self.embeddings.index_select(&ids, 0)?.broadcast_sub(&self.mean)?;
        Tensor::from_vec(weights, (1, tokens.len()), &Device::Cpu)?.matmul(&centred)?.squeeze(0)
    }

    fn weight(&self, token: u32) -> f32 {
        let probability = 1.0 / (f64::from(token + 1) * self.harmonic);
        (A / (A + probability)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_tokens_weigh_more_and_the_common_direction_is_gone() {
        let table = Tensor::new(&[[9_f32, 1.0], [9.0, -1.0], [9.0, 2.0], [9.0, -2.0]], &Device::Cpu).unwrap();
        let sif = Sif::new(&table).unwrap();
        assert!(sif.weight(3) > sif.weight(0));
        let mean = sif.mean(&[0, 3]).unwrap().to_vec1::<f32>().unwrap();
        assert!(mean[0].abs() < 1e-6);
        assert!((mean[1] - (sif.weight(0) - 2.0 * sif.weight(3)) / 2.0).abs() < 1e-7);
    }
}

use candle_core::{D, DType, Result, Tensor};

use super::Decoder;

/// The most logits that exist at one time, several times over.
const LOGITS_MAX: usize = 1 << 26;

/// What the head says about targets.
pub(crate) struct Targets {
    /// The log-probability of each.
    pub(crate) logprobs: Vec<f32>,
    /// The entropy of the distribution of each, in nats.
    pub(crate) entropies: Vec<f32>,
    /// The derivative of each log-probability by its hidden state: `[targets, hidden]`.
    pub(crate) d_logprobs: Tensor,
}

/// How far the head's distributions are from those of other hidden states.
pub(crate) struct Divergences {
    /// KL(other ‖ own) of each row, in nats.
    pub(crate) divergences: Vec<f32>,
    /// Its derivative by the own hidden state: `[rows, hidden]`.
    pub(crate) slopes: Tensor,
}

/// Some of the targets, on the device.
struct Block {
    logprobs: Tensor,
    /// Logits above the greatest of their row, f32.
    above: Tensor,
    /// Their log-sum, `[targets, 1]`.
    log_sum: Tensor,
}

impl Decoder {
    /// The log-probability of one target token per row: `log softmax(h · headᵀ)[target]`, for h `[rows, hidden]` in f32.
    ///
    /// # Errors
    /// Where a target is outside of the vocabulary, or the device has no room.
    pub(crate) fn token_logprobs(&self, h: &Tensor, targets: &[u32]) -> Result<Vec<f32>> {
        let blocks = self.blocks(h, targets)?;
        let logprobs = blocks.map(|(h, targets)| Ok(self.block(&h?.to_dtype(self.dtype)?, &targets?)?.logprobs));
        Tensor::cat(&logprobs.collect::<Result<Vec<_>>>()?, 0)?.flatten_all()?.to_vec1()
    }

    /// As [`token_logprobs`](Self::token_logprobs), with entropies and derivatives: head\[target\] − Σᵥ pᵥ · head\[v\].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn targets(&self, h: &Tensor, targets: &[u32]) -> Result<Targets> {
        let (mut logprobs, mut entropies, mut d_logprobs) = (Vec::new(), Vec::new(), Vec::new());
        for (h, targets) in self.blocks(h, targets)? {
            let (h, targets) = (h?.to_dtype(self.dtype)?, targets?);
            let block = self.block(&h, &targets)?;
            let p = block.above.broadcast_sub(&block.log_sum)?.exp()?;
            entropies.push((block.log_sum - (&p * block.above)?.sum_keepdim(D::Minus1)?)?);
            logprobs.push(block.logprobs);
            let mean = p.to_dtype(self.dtype)?.matmul(&self.head)?.to_dtype(DType::F32)?;
            d_logprobs.push((self.head.index_select(&targets, 0)?.to_dtype(DType::F32)? - mean)?);
        }
        let values = |parts: &[Tensor]| Tensor::cat(parts, 0)?.flatten_all()?.to_vec1();
        Ok(Targets {
            logprobs: values(&logprobs)?,
            entropies: values(&entropies)?,
            d_logprobs: Tensor::cat(&d_logprobs, 0)?,
        })
    }

    /// Σᵥ qᵥ · (log qᵥ − log pᵥ) of each row, p and q being the distributions that rows of h and of the reference say, and its derivative
    /// Σᵥ (pᵥ − qᵥ) · head\[v\]. Both are `[rows, hidden]` in f32.
    ///
    /// # Errors
    /// Where shapes do not fit together, or the device has no room.
    pub(crate) fn divergences(&self, h: &Tensor, reference: &Tensor) -> Result<Divergences> {
        let (rows, together) = (h.dim(0)?, (LOGITS_MAX / self.head.dim(0)?).max(1));
        let (mut divergences, mut slopes) = (Vec::new(), Vec::new());
        for start in (0..rows).step_by(together) {
            let part = |h: &Tensor| h.narrow(0, start, together.min(rows - start))?.to_dtype(self.dtype);
            let (p, q) = (self.log_softmax(&part(h)?)?, self.log_softmax(&part(reference)?)?);
            let of_q = q.exp()?;
            divergences.push((&of_q * (&q - &p)?)?.sum(D::Minus1)?);
            slopes.push((p.exp()? - of_q)?.to_dtype(self.dtype)?.matmul(&self.head)?.to_dtype(DType::F32)?);
        }
        Ok(Divergences { divergences: Tensor::cat(&divergences, 0)?.to_vec1()?, slopes: Tensor::cat(&slopes, 0)? })
    }

    fn log_softmax(&self, h: &Tensor) -> Result<Tensor> {
        let logits = h.matmul(&self.head.t()?)?.to_dtype(DType::F32)?;
        let above = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        above.broadcast_sub(&above.exp()?.sum_keepdim(D::Minus1)?.log()?)
    }

    /// The rows and targets of each block.
    fn blocks(&self, h: &Tensor, targets: &[u32]) -> Result<impl Iterator<Item = (Result<Tensor>, Result<Tensor>)>> {
        let vocab = self.head.dim(0)?;
        let (rows, together) = (targets.len(), (LOGITS_MAX / vocab).max(1));
        if let Some(target) = targets.iter().find(|target| **target as usize >= vocab) {
            candle_core::bail!("target {target} is outside of the vocabulary of {vocab} tokens");
        }
        let blocks = (0..rows).step_by(together).map(move |start| start..rows.min(start + together));
        Ok(blocks.map(move |block| (h.narrow(0, block.start, block.len()), self.indices(&targets[block]))))
    }

    fn block(&self, h: &Tensor, targets: &Tensor) -> Result<Block> {
        let logits = h.matmul(&self.head.t()?)?.to_dtype(DType::F32)?;
        let above = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        let log_sum = above.exp()?.sum_keepdim(D::Minus1)?.log()?;
        let logprobs = (above.gather(&targets.unsqueeze(1)?, 1)? - &log_sum)?;
        Ok(Block { logprobs, above, log_sum })
    }
}

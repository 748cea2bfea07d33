use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use candle_core::{DType, Device, Tensor};
use perennial_types::panic_text;
use serde_json::{Map, Value};

use crate::{
    FamilyError, TensorSource,
    family::{Forward, Plan, family_of},
    keys::Keys,
    weights::Weights,
};

/// Tokens that are taken in at once, since a table of each token by each token before it is made of them.
const ROWS_MAX: usize = 256;

/// A decoder of whichever family claims a model, and the sequence that it is at.
pub struct Decoder {
    plan: Plan,
    weights: Arc<Weights>,
    /// None where a sequence begins, or where the last one was lost.
    forward: Option<Forward>,
    /// Tokens that it has taken in.
    held: usize,
}

impl Decoder {
    /// Puts the decoder of a `config.json` together. `path` is its place, for errors.
    ///
    /// # Errors
    /// Where no family claims it, it asks for what its family does not compute, or the tensors are not those that it implies: one is
    /// missing, has another shape, or is one too many.
    pub fn load(config: &Map<String, Value>, path: &Path, tensors: Box<dyn TensorSource>) -> Result<Self, FamilyError> {
        let family = family_of(config, path)?;
        let keys = Keys::new(config, path);
        let plan = family.plan(&keys)?;
        keys.finish()?;
        let weights = Weights::new(tensors, plan.tied, plan.factors.clone());
        let wrong = |problem: String| FamilyError::Weights { path: path.to_owned(), problem };
        let forward = guarded(|| (plan.build)(weights.builder()))?.map_err(|error| wrong(error.to_string()))?;
        if let Some(name) = weights.left_over()? {
            return Err(wrong(format!("tensor `{name}` is not one that a model of this configuration has")));
        }
        Ok(Self { plan, weights, forward: Some(forward), held: 0 })
    }

    /// The most tokens of a sequence.
    pub fn positions_max(&self) -> usize {
        self.plan.sizes.positions
    }

    /// Forgets the tokens that were taken in.
    pub fn restart(&mut self) {
        if self.held > 0 {
            (self.forward, self.held) = (None, 0);
        }
    }

    /// Takes tokens in behind those before them, and gives the logits of the vocabulary after the last of them.
    ///
    /// # Errors
    /// Where the sequence becomes too long, the model does not know a token, or an operation fails: the sequence is lost then.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>, FamilyError> {
        self.check(tokens)?;
        let mut forward = match self.forward.take() {
            Some(forward) => forward,
            None => guarded(|| (self.plan.build)(self.weights.builder()))??,
        };
        let mut logits = Vec::new();
        let mut left = tokens;
        while !left.is_empty() {
            let at = self.held;
            let (now, later) = left.split_at(left.len().min(ROWS_MAX).min(self.plan.feed.rows_max(at)));
            logits = guarded(|| pass(&mut forward, now, at))??;
            self.held += now.len();
            left = later;
        }
        self.forward = Some(forward);
        Ok(logits)
    }

    fn check(&self, tokens: &[u32]) -> Result<(), FamilyError> {
        let (length, positions_max) = (self.held + tokens.len(), self.positions_max());
        if length > positions_max {
            return Err(FamilyError::TooLong { tokens: length, positions_max });
        }
        let vocab_size = self.plan.sizes.vocab;
        match tokens.iter().find(|token| **token as usize >= vocab_size) {
            None => Ok(()),
            Some(&token) => Err(FamilyError::Token { token, vocab_size }),
        }
    }
}

fn pass(forward: &mut Forward, tokens: &[u32], at: usize) -> candle_core::Result<Vec<f32>> {
    let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
    forward(&input, at)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// What candle panics with is an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, FamilyError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| FamilyError::Panic(panic_text(&*panic).unwrap_or("it panicked without a word").to_owned()))
}

use candle_core::{DType, Tensor, Var};
use perennial_kernels::{Into, Mat, MatMut, Precision, Threads, Weight, gemm};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    DeltaKind,
    lora::{Lora, LoraVars, pair},
};
use crate::{
    adapter::{AdapterError, LoraConfig, SiteBase},
    model::{
        Stored, Workspace,
        composed::{ComposedDelta, with_bias},
        delta::{Delta, DeltaIn, LowRank, Seen},
    },
};

/// Rows of a weight whose norms are computed at one time: a bound on memory.
const NORM_ROWS: usize = 256;
/// Outputs whose sums over rows one task computes.
const SUM_COLUMNS: usize = 64;

/// DoRA (arXiv 2402.09353): `y = x · (g ∘ (w + scale · b · a))ᵀ` with `g = magnitude / ‖w + scale · b · a‖` for each output. The
/// norm is a constant to the backward pass (section 4.3 of the paper), as in PEFT.
pub(super) struct Dora;

impl DeltaKind for Dora {
    fn name(&self) -> &'static str {
        "dora"
    }

    fn peft_type(&self) -> &'static str {
        Lora.peft_type()
    }

    fn flag(&self) -> Option<&'static str> {
        Some("use_dora")
    }

    fn parts(&self) -> &'static [&'static str] {
        &["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"]
    }

    fn shapes(&self, config: &LoraConfig, inputs: usize, outputs: usize) -> Vec<Vec<usize>> {
        let mut shapes = Lora.shapes(config, inputs, outputs);
        shapes.push(vec![outputs]);
        shapes
    }

    fn widths(&self, shapes: &[&[usize]]) -> Option<(usize, usize)> {
        let [pair @ .., [_]] = shapes else { return None };
        Lora.widths(pair)
    }

    /// As LoRA, and each magnitude the norm of its row of the weight.
    fn init(
        &self,
        config: &LoraConfig,
        base: SiteBase<'_>,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<f32>>, AdapterError> {
        let mut values = Lora.init(config, base, random)?;
        values.push(self.norms_of(base)?);
        Ok(values)
    }

    /// B is zero, and each magnitude where it began.
    fn has_no_effect(&self, base: SiteBase<'_>, values: &[Vec<f32>]) -> Result<bool, AdapterError> {
        let [pair @ .., magnitude] = values else { return Ok(false) };
        Ok(Lora.has_no_effect(base, pair)? && *magnitude == self.norms_of(base)?)
    }

    fn weights(
        &self,
        config: &LoraConfig,
        weight: &Weight,
        values: Vec<Vec<f32>>,
        precision: Precision,
    ) -> Box<dyn Delta> {
        let part = |at: usize| values.get(at).map(Vec::as_slice).unwrap_or_default();
        let norms = row_norms(weight, Some(Change { a: part(0), b: part(1), config }));
        let gains = part(2).iter().zip(&norms).map(|(magnitude, norm)| magnitude / norm).collect();
        Box::new(DoraWeights { gains, norms, pair: pair(config, &mut values.into_iter(), precision) })
    }

    fn composed(
        &self,
        config: &LoraConfig,
        weight: &Tensor,
        values: &[&[f32]],
    ) -> candle_core::Result<Box<dyn ComposedDelta>> {
        let [_, _, magnitude] = values else { candle_core::bail!("an adapter of {} tensors is no DoRA", values.len()) };
        let lora = LoraVars::new(config, weight, values)?;
        let norms = (weight.to_dtype(DType::F32)? + lora.change_of_weight()?)?.sqr()?.sum(1)?.sqrt()?;
        let magnitude = Var::from_slice(magnitude, weight.dim(0)?, weight.device())?;
        Ok(Box::new(DoraVars { lora, magnitude, norms }))
    }

    /// Adds `scale · b · a`, and gives each row the length of its magnitude.
    fn merge(&self, config: &LoraConfig, weight: &mut [f32], values: &[Vec<f32>]) {
        let [pair @ .., magnitude] = values else { return };
        Lora.merge(config, weight, pair);
        let inputs = weight.len() / magnitude.len().max(1);
        weight.par_chunks_exact_mut(inputs.max(1)).zip(magnitude).for_each(|(row, magnitude)| {
            let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32;
            row.iter_mut().for_each(|value| *value *= magnitude / norm);
        });
    }

    fn not_served_by(&self) -> &'static [&'static str] {
        &["vLLM", "llama.cpp"]
    }
}

impl Dora {
    fn norms_of(&self, base: SiteBase<'_>) -> Result<Vec<f32>, AdapterError> {
        let weight = base.weight.ok_or(AdapterError::NeedsWeights { kind: self.name() })?;
        Ok(row_norms(weight, None))
    }
}

/// What a pair of matrices adds to a weight.
#[derive(Clone, Copy)]
struct Change<'a> {
    a: &'a [f32],
    b: &'a [f32],
    config: &'a LoraConfig,
}

/// The norm of each row of a weight, with what is added to it.
fn row_norms(weight: &Weight, change: Option<Change<'_>>) -> Vec<f32> {
    let (outputs, inputs) = (weight.outputs(), weight.inputs());
    let mut norms = vec![0.0; outputs];
    let mut changes = vec![0.0; NORM_ROWS.min(outputs) * inputs];
    for (block, norms) in norms.chunks_mut(NORM_ROWS).enumerate() {
        let (first, rows) = (block * NORM_ROWS, norms.len());
        if let Some(Change { a, b, config }) = change {
            let changes = MatMut::new(&mut changes[..rows * inputs], rows, inputs);
            let b = Mat::new(&b[first * config.r..][..rows * config.r], rows, config.r);
            let a = Mat::new(a, config.r, inputs);
            gemm(changes, Into::Set, config.scale(), b, a, Precision::F32, Threads::Pool);
        }
        let rows = norms.par_iter_mut().zip(changes.par_chunks_exact(inputs)).enumerate();
        rows.for_each_init(
            || vec![0.0; inputs],
            |values, (row, (norm, change))| {
                weight.row_into(first + row, values);
                let squares = values.iter().zip(change).map(|(value, change)| f64::from(value + change).powi(2));
                *norm = squares.sum::<f64>().sqrt() as f32;
            },
        );
    }
    norms
}

/// DoRA in the passes by hand: the layer's products take the pair along, and what they give is scaled.
struct DoraWeights {
    pair: LowRank,
    /// `magnitude / norm` of each output.
    gains: Vec<f32>,
    norms: Vec<f32>,
}

impl Delta for DoraWeights {
    fn low_rank(&self) -> Option<&LowRank> {
        Some(&self.pair)
    }

    fn low_rank_mut(&mut self) -> Option<&mut LowRank> {
        Some(&mut self.pair)
    }

    fn finishes(&self) -> bool {
        true
    }

    fn finish_widths(&self) -> Vec<usize> {
        vec![self.gains.len()]
    }
}

impl<E: Stored> DeltaIn<E> for DoraWeights {
    /// Keeps the product as it was, for the gradient of the magnitude.
    fn finish(&self, y: &mut [f32], workspace: &mut Workspace) -> Vec<Vec<E>> {
        let product = workspace.copy(y);
        scale_rows(y, &self.gains);
        vec![product]
    }

    fn backward(
        &self,
        weight: &Weight,
        dx: (MatMut<'_>, Into),
        dy: &[E],
        seen: Seen<'_, E>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let ([down, product], [of_pair @ .., d_magnitude]) = (seen.kept, gradients) else { return };
        self.add_magnitude(d_magnitude, dy, product);
        let mut d_product: Vec<f32> = workspace.take(dy.len());
        d_product.iter_mut().zip(dy).for_each(|(scaled, dy)| *scaled = dy.to_f32());
        scale_rows(&mut d_product, &self.gains);
        let d_product = E::rounded(d_product, workspace);
        self.pair.backward(weight, dx, &d_product, (seen.x, down), of_pair, workspace);
        workspace.give(d_product);
    }
}

impl DoraWeights {
    /// Adds `Σ dy ∘ product / norm` over the rows, in their order.
    fn add_magnitude<E: Stored>(&self, d_magnitude: &mut [f32], dy: &[E], product: &[E]) {
        let outputs = self.norms.len();
        let columns = d_magnitude.par_chunks_mut(SUM_COLUMNS).zip(self.norms.par_chunks(SUM_COLUMNS)).enumerate();
        columns.for_each(|(block, (d_magnitude, norms))| {
            let (first, mut sums) = (block * SUM_COLUMNS, [0.0; SUM_COLUMNS]);
            for (dy, product) in dy.chunks_exact(outputs).zip(product.chunks_exact(outputs)) {
                let of_row = dy[first..].iter().zip(&product[first..]);
                sums.iter_mut().zip(of_row).for_each(|(sum, (dy, product))| *sum += dy.to_f32() * product.to_f32());
            }
            let of_columns = sums.iter().zip(norms);
            d_magnitude.iter_mut().zip(of_columns).for_each(|(to, (sum, norm))| *to += sum / norm);
        });
    }
}

/// Multiplies each row of `[rows, gains]` by the gains.
fn scale_rows(values: &mut [f32], gains: &[f32]) {
    values.par_chunks_exact_mut(gains.len().max(1)).for_each(|row| {
        row.iter_mut().zip(gains).for_each(|(value, gain)| *value *= gain);
    });
}

/// DoRA in the composed passes.
struct DoraVars {
    lora: LoraVars,
    /// `[out]`
    magnitude: Var,
    /// `[out]`, of which no gradient is taken.
    norms: Tensor,
}

impl ComposedDelta for DoraVars {
    fn forward(&self, x: &Tensor, product: Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let dtype = x.dtype();
        let gains = (self.magnitude.as_tensor() / &self.norms)?;
        let product = (product + self.lora.change(x)?)?.to_dtype(DType::F32)?;
        with_bias(product.broadcast_mul(&gains)?.to_dtype(dtype)?, bias)
    }

    fn variables(&self) -> Vec<&Var> {
        let mut variables = self.lora.variables();
        variables.push(&self.magnitude);
        variables
    }
}

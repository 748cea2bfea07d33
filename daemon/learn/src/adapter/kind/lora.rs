use candle_core::{Tensor, Var};
use perennial_kernels::{Into, Mat, MatMut, Precision, Threads, Weight, gemm};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::DeltaKind;
use crate::{
    adapter::{AdapterError, LoraConfig, SiteBase},
    model::{
        Stored, Workspace,
        composed::{ComposedDelta, with_bias},
        delta::{Delta, DeltaIn, LowRank, Seen},
    },
};

/// LoRA (arXiv 2106.09685): `y = x · (w + scale · b · a)ᵀ`, for a `[rank, in]` and b `[out, rank]`.
pub(super) struct Lora;

impl DeltaKind for Lora {
    fn name(&self) -> &'static str {
        "lora"
    }

    fn peft_type(&self) -> &'static str {
        "LORA"
    }

    fn flag(&self) -> Option<&'static str> {
        None
    }

    fn parts(&self) -> &'static [&'static str] {
        &["lora_A.weight", "lora_B.weight"]
    }

    fn shapes(&self, config: &LoraConfig, inputs: usize, outputs: usize) -> Vec<Vec<usize>> {
        vec![vec![config.r, inputs], vec![outputs, config.r]]
    }

    fn widths(&self, shapes: &[&[usize]]) -> Option<(usize, usize)> {
        let [[_, inputs], [outputs, _]] = shapes else { return None };
        Some((*inputs, *outputs))
    }

    /// A from PEFT's `kaiming_uniform(a = √5)`, which is uniform in ±1/√in; B zero.
    fn init(
        &self,
        config: &LoraConfig,
        base: SiteBase<'_>,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<f32>>, AdapterError> {
        let bound = 1.0 / (base.inputs as f32).sqrt();
        let a = (0..config.r * base.inputs).map(|_| random.random_range(-bound..bound)).collect();
        Ok(vec![a, vec![0.0; base.outputs * config.r]])
    }

    /// B is zero.
    fn has_no_effect(&self, _base: SiteBase<'_>, values: &[Vec<f32>]) -> Result<bool, AdapterError> {
        Ok(values.iter().skip(1).flatten().all(|value| *value == 0.0))
    }

    fn weights(
        &self,
        config: &LoraConfig,
        _weight: &Weight,
        values: Vec<Vec<f32>>,
        precision: Precision,
    ) -> Box<dyn Delta> {
        Box::new(LoraWeights(pair(config, &mut values.into_iter(), precision)))
    }

    fn composed(
        &self,
        config: &LoraConfig,
        weight: &Tensor,
        values: &[&[f32]],
    ) -> candle_core::Result<Box<dyn ComposedDelta>> {
        Ok(Box::new(LoraVars::new(config, weight, values)?))
    }

    /// Adds `scale · b · a`.
    fn merge(&self, config: &LoraConfig, weight: &mut [f32], values: &[Vec<f32>]) {
        let [a, b, ..] = values else { return };
        let (rank, outputs, inputs) = (config.r, b.len() / config.r, a.len() / config.r);
        let (a, b) = (Mat::new(a, rank, inputs), Mat::new(b, outputs, rank));
        let weight = MatMut::new(weight, outputs, inputs);
        gemm(weight, Into::Add, config.scale(), b, a, Precision::F32, Threads::Pool);
    }

    fn not_served_by(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The pair of matrices that are the first two of `values`.
pub(super) fn pair(config: &LoraConfig, values: &mut impl Iterator<Item = Vec<f32>>, precision: Precision) -> LowRank {
    let (a, b) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
    LowRank::new((a, b), config.r, config.scale(), precision)
}

/// LoRA in the passes by hand: the layer's products take the pair along.
struct LoraWeights(LowRank);

impl Delta for LoraWeights {
    fn low_rank(&self) -> Option<&LowRank> {
        Some(&self.0)
    }

    fn low_rank_mut(&mut self) -> Option<&mut LowRank> {
        Some(&mut self.0)
    }
}

impl<E: Stored> DeltaIn<E> for LoraWeights {
    fn backward(
        &self,
        weight: &Weight,
        dx: (MatMut<'_>, Into),
        dy: &[E],
        seen: Seen<'_, E>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let down = seen.kept.first().map(Vec::as_slice).unwrap_or_default();
        self.0.backward(weight, dx, dy, (seen.x, down), gradients, workspace);
    }
}

/// LoRA in the composed passes.
pub(super) struct LoraVars {
    a: Var,
    b: Var,
    scale: f64,
}

impl LoraVars {
    /// Of the first two of `values`, on the device of the layer's weight.
    pub(super) fn new(config: &LoraConfig, weight: &Tensor, values: &[&[f32]]) -> candle_core::Result<Self> {
        let [a, b, ..] = values else { candle_core::bail!("an adapter of {} tensors is no LoRA", values.len()) };
        let ((outputs, inputs), device) = (weight.dims2()?, weight.device());
        Ok(Self {
            a: Var::from_slice(a, (config.r, inputs), device)?,
            b: Var::from_slice(b, (outputs, config.r), device)?,
            scale: f64::from(config.scale()),
        })
    }

    /// What is added to the layer's weight: `scale · b · a`, of which no gradient is taken.
    pub(super) fn change_of_weight(&self) -> candle_core::Result<Tensor> {
        self.b.as_detached_tensor().matmul(&self.a.as_detached_tensor())? * self.scale
    }

    /// What is added to the layer's product: `scale · (x · aᵀ) · bᵀ`, in the dtype of x.
    pub(super) fn change(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let dtype = x.dtype();
        let down = x.matmul(&self.a.to_dtype(dtype)?.t()?)?;
        down.matmul(&self.b.to_dtype(dtype)?.t()?)? * self.scale
    }
}

impl ComposedDelta for LoraVars {
    fn forward(&self, x: &Tensor, product: Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
        with_bias(product, bias)? + self.change(x)?
    }

    fn variables(&self) -> Vec<&Var> {
        vec![&self.a, &self.b]
    }
}

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::{
    gemm::{Into, Mat, Threads, gemm},
    operand::{Operand, dims2, matrix, values},
    skinny::{independent_rows_max, skinny_product},
};

const OP: &str = "frozen_linear";

/// `x · wᵀ + bias` with a frozen weight: x `[rows, in]`, w `[out, in]`, bias `[out]`; the result is `[rows, out]`.
///
/// Differentiable in x alone: the gradient of w is never computed, even where w is a variable.
///
/// # Errors
/// Where shapes do not fit together or a tensor is not f32 on the CPU.
pub fn frozen_linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    x.apply_op1(FrozenLinear { base: FrozenWeight::new(OP, w, bias)? })
}

/// A frozen weight with its bias, cut off from any graph.
pub(crate) struct FrozenWeight {
    op: &'static str,
    weight: Tensor,
    bias: Option<Tensor>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl FrozenWeight {
    pub(crate) fn new(op: &'static str, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (outputs, inputs) = dims2(op, "w", weight.layout())?;
        if let Some(bias) = bias
            && bias.dims() != [outputs]
        {
            bail!("{op}: the bias has the shape {:?}, but w has {outputs} rows", bias.dims());
        }
        Ok(Self { op, weight: weight.detach(), bias: bias.map(Tensor::detach), inputs, outputs })
    }

    /// `x · wᵀ + bias` over slices.
    pub(crate) fn forward(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        let weight = Operand::new(self.op, &self.weight);
        let weight = weight.values()?;
        let mut y = vec![0.0; rows * self.outputs];
        if rows <= independent_rows_max() {
            skinny_product(&mut y, x, &weight, rows, self.inputs);
        } else {
            let (x, w) = (Mat::new(x, rows, self.inputs), Mat::new(&weight, self.outputs, self.inputs));
            gemm(&mut y, Into::Set, 1.0, x, w.t(), Threads::Pool);
        }
        if let Some(bias) = &self.bias {
            let bias = Operand::new(self.op, bias);
            let bias = bias.values()?;
            for y in y.chunks_exact_mut(self.outputs.max(1)) {
                y.iter_mut().zip(bias.iter()).for_each(|(y, bias)| *y += bias);
            }
        }
        Ok(y)
    }

    /// The gradient of x: `dy · w`.
    pub(crate) fn backward(&self, dy: &[f32], rows: usize) -> Result<Vec<f32>> {
        let weight = Operand::new(self.op, &self.weight);
        let weight = weight.values()?;
        let mut dx = vec![0.0; rows * self.inputs];
        let (dy, w) = (Mat::new(dy, rows, self.outputs), Mat::new(&weight, self.outputs, self.inputs));
        gemm(&mut dx, Into::Set, 1.0, dy, w, Threads::Pool);
        Ok(dx)
    }
}

struct FrozenLinear {
    base: FrozenWeight,
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = dims2(OP, "x", layout)?;
        if inputs != self.base.inputs {
            bail!("{OP}: x has {inputs} columns, but w has {}", self.base.inputs);
        }
        let y = self.base.forward(&values(OP, storage, layout)?, rows)?;
        Ok((CpuStorage::F32(y), (rows, self.base.outputs).into()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let (rows, inputs) = x.dims2()?;
        let dx = self.base.backward(&Operand::new(OP, dy).values()?, rows)?;
        matrix(dx, rows, inputs).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix};

    #[test]
    fn agrees_with_candle_over_odd_shapes() {
        for (rows, inputs, outputs) in [(1, 3, 5), (7, 65, 33), (9, 16, 100), (40, 31, 1)] {
            let (x, w) = (noise_matrix(rows, inputs, 1), noise_matrix(outputs, inputs, 2));
            let bias = noise_matrix(1, outputs, 3).squeeze(0).unwrap();
            let expected = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
            for (x, w) in [(x.clone(), w.clone()), (awkward(&x), awkward(&w))] {
                let y = frozen_linear(&x, &w, Some(&bias)).unwrap();
                assert_close(&flat(&y), &flat(&expected), 1e-5);
            }
        }
    }

    #[test]
    fn gradient() {
        let w = noise_matrix(5, 7, 2);
        check_gradients(&[noise_matrix(11, 7, 1)], |x| frozen_linear(&x[0], &w, None));
    }

    #[test]
    fn the_weight_gets_no_gradient() {
        let (x, w) =
            (Var::from_tensor(&noise_matrix(4, 6, 1)).unwrap(), Var::from_tensor(&noise_matrix(3, 6, 2)).unwrap());
        let gradients = frozen_linear(&x, &w, None).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_some());
        assert!(gradients.get(&w).is_none());
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(frozen_linear(&noise_matrix(2, 3, 1), &noise_matrix(2, 4, 1), None).is_err());
        let bias = noise_matrix(1, 3, 1).squeeze(0).unwrap();
        assert!(frozen_linear(&noise_matrix(2, 3, 1), &noise_matrix(2, 3, 1), Some(&bias)).is_err());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (x, w) = (noise_matrix(150, 96, 1), noise_matrix(200, 96, 2));
        assert_independent_of_threads(|| flat(&frozen_linear(&x, &w, None).unwrap()));
    }
}

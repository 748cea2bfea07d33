use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::{
    frozen_linear::FrozenWeight,
    gemm::{Into, Mat, Threads, gemm},
    operand::{Operand, dims2, matrix, values},
    skinny::{independent_rows_max, skinny_product},
};

const OP: &str = "lora_linear";

/// A frozen linear layer with a low-rank adapter: `x · wᵀ + bias + scale · (x · aᵀ) · bᵀ` (LoRA, arXiv 2106.09685).
///
/// x `[rows, in]`, w `[out, in]`, bias `[out]`, a `[rank, in]`, b `[out, rank]`; the result is `[rows, out]`.
/// Differentiable in x, a and b; the gradient of w is never computed.
///
/// # Errors
/// Where shapes do not fit together or a tensor is not f32 on the CPU.
pub fn lora_linear(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    a: &Tensor,
    b: &Tensor,
    scale: f32,
) -> Result<Tensor> {
    x.apply_op3(a, b, LoraLinear { base: FrozenWeight::new(OP, w, bias)?, scale, down: OnceLock::new() })
}

struct LoraLinear {
    base: FrozenWeight,
    scale: f32,
    /// `x · aᵀ`, kept for the backward pass: `[rows, rank]` is small.
    down: OnceLock<Vec<f32>>,
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = dims2(OP, "x", x_layout)?;
        let (rank, a_inputs) = dims2(OP, "a", a_layout)?;
        let outputs = self.base.outputs;
        if inputs != self.base.inputs || a_inputs != inputs {
            bail!("{OP}: x has {inputs} columns, w has {} and a has {a_inputs}", self.base.inputs);
        }
        if dims2(OP, "b", b_layout)? != (outputs, rank) {
            bail!("{OP}: b has the shape {:?}, expected [{outputs}, {rank}]", b_layout.dims());
        }
        let (x, a, b) = (values(OP, x, x_layout)?, values(OP, a, a_layout)?, values(OP, b, b_layout)?);

        let mut y = self.base.forward(&x, rows)?;
        let mut down = vec![0.0; rows * rank];
        if rows <= independent_rows_max() {
            skinny_product(&mut down, &x, &a, rows, inputs);
            let mut up = vec![0.0; rows * outputs];
            skinny_product(&mut up, &down, &b, rows, rank);
            y.iter_mut().zip(up).for_each(|(y, up)| *y += self.scale * up);
        } else {
            gemm(&mut down, Into::Set, 1.0, Mat::new(&x, rows, inputs), Mat::new(&a, rank, inputs).t(), Threads::Pool);
            let (down_mat, b) = (Mat::new(&down, rows, rank), Mat::new(&b, outputs, rank));
            gemm(&mut y, Into::Add, self.scale, down_mat, b.t(), Threads::Pool);
        }
        // Set twice only if candle ran one op twice, which it does not; the values would be the same.
        let _ = self.down.set(down);
        Ok((CpuStorage::F32(y), (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((rows, inputs), (rank, _), outputs) = (x.dims2()?, a.dims2()?, self.base.outputs);
        let (x_operand, a_operand) = (Operand::new(OP, x), Operand::new(OP, a));
        let (b_operand, dy_operand) = (Operand::new(OP, b), Operand::new(OP, dy));
        let (x_values, a_values, dy_values) = (x_operand.values()?, a_operand.values()?, dy_operand.values()?);
        let b_values = b_operand.values()?;
        let Some(down) = self.down.get() else { bail!("{OP}: backward ran before forward") };
        let dy_mat = Mat::new(&dy_values, rows, outputs);

        // scale · dy · b: the gradient of x · aᵀ.
        let mut d_down = vec![0.0; rows * rank];
        gemm(&mut d_down, Into::Set, self.scale, dy_mat, Mat::new(&b_values, outputs, rank), Threads::Pool);
        let d_down_mat = Mat::new(&d_down, rows, rank);

        let mut gradients = (None, None, None);
        if x.track_op() {
            let mut dx = self.base.backward(&dy_values, rows)?;
            gemm(&mut dx, Into::Add, 1.0, d_down_mat, Mat::new(&a_values, rank, inputs), Threads::Pool);
            gradients.0 = Some(matrix(dx, rows, inputs)?);
        }
        if a.track_op() {
            let mut da = vec![0.0; rank * inputs];
            gemm(&mut da, Into::Set, 1.0, d_down_mat.t(), Mat::new(&x_values, rows, inputs), Threads::Pool);
            gradients.1 = Some(matrix(da, rank, inputs)?);
        }
        if b.track_op() {
            let mut db = vec![0.0; outputs * rank];
            gemm(&mut db, Into::Set, self.scale, dy_mat.t(), Mat::new(down, rows, rank), Threads::Pool);
            gradients.2 = Some(matrix(db, outputs, rank)?);
        }
        Ok(gradients)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix};

    #[test]
    fn agrees_with_candle_over_odd_shapes() {
        for (rows, inputs, outputs, rank) in [(1, 3, 5, 1), (7, 65, 33, 4), (40, 31, 70, 16)] {
            let (x, w) = (noise_matrix(rows, inputs, 1), noise_matrix(outputs, inputs, 2));
            let (a, b) = (noise_matrix(rank, inputs, 3), noise_matrix(outputs, rank, 4));
            let delta = (b.matmul(&a).unwrap() * 0.5).unwrap();
            let expected = x.matmul(&(&w + delta).unwrap().t().unwrap()).unwrap();
            for (x, a, b) in [(x.clone(), a.clone(), b.clone()), (awkward(&x), awkward(&a), awkward(&b))] {
                let y = lora_linear(&x, &w, None, &a, &b, 0.5).unwrap();
                assert_close(&flat(&y), &flat(&expected), 1e-5);
            }
        }
    }

    #[test]
    fn gradients() {
        let w = noise_matrix(6, 5, 9);
        let inputs = [noise_matrix(9, 5, 1), noise_matrix(3, 5, 2), noise_matrix(6, 3, 3)];
        check_gradients(&inputs, |x| lora_linear(&x[0], &w, None, &x[1], &x[2], 0.7));
    }

    #[test]
    fn only_tracked_arguments_get_gradients() {
        let (x, w) = (noise_matrix(4, 6, 1), Var::from_tensor(&noise_matrix(3, 6, 2)).unwrap());
        let (a, b) =
            (Var::from_tensor(&noise_matrix(2, 6, 3)).unwrap(), Var::from_tensor(&noise_matrix(3, 2, 4)).unwrap());
        let gradients = lora_linear(&x, &w, None, &a, &b, 1.0).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_none());
        assert!(gradients.get(&w).is_none());
        assert!(gradients.get(&a).is_some() && gradients.get(&b).is_some());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (x, w) = (noise_matrix(150, 96, 1), noise_matrix(200, 96, 2));
        let (a, b) = (Var::from_tensor(&noise_matrix(8, 96, 3)).unwrap(), noise_matrix(200, 8, 4));
        assert_independent_of_threads(|| {
            let y = lora_linear(&x, &w, None, &a, &b, 1.0).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = flat(&y);
            all.extend(flat(gradients.get(&a).unwrap()));
            all
        });
    }
}

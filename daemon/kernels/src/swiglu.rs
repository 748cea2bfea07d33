use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    exp::sigmoid_inline,
    isa::vectorized,
    operand::{Operand, dims2, matrix, values},
};

const OP: &str = "swiglu";
const TASK_VALUES: usize = 16 * 1024;

/// `silu(gate) · up`, value by value (arXiv 2002.05202): both `[rows, dim]`. Differentiable in both.
///
/// # Errors
/// Where the shapes differ or a tensor is not f32 on the CPU.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.apply_op2(up, SwiGlu)
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = dims2(OP, "gate", gate_layout)?;
        if dims2(OP, "up", up_layout)? != shape {
            bail!("{OP}: gate has the shape {:?} and up {:?}", gate_layout.dims(), up_layout.dims());
        }
        let (gate, up) = (values(OP, gate, gate_layout)?, values(OP, up, up_layout)?);
        let mut y = vec![0.0; gate.len()];
        let tasks = y.par_chunks_mut(TASK_VALUES).zip(gate.par_chunks(TASK_VALUES)).zip(up.par_chunks(TASK_VALUES));
        tasks.for_each(|((y, gate), up)| forward(y, gate, up));
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (rows, cols) = gate.dims2()?;
        let (gate_operand, up_operand, dy) = (Operand::new(OP, gate), Operand::new(OP, up), Operand::new(OP, dy));
        let (gate_values, up_values, dy) = (gate_operand.values()?, up_operand.values()?, dy.values()?);
        let (mut d_gate, mut d_up) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
        let inputs = gate_values.par_chunks(TASK_VALUES).zip(up_values.par_chunks(TASK_VALUES));
        let outputs = d_gate.par_chunks_mut(TASK_VALUES).zip(d_up.par_chunks_mut(TASK_VALUES));
        let tasks = outputs.zip(inputs).zip(dy.par_chunks(TASK_VALUES));
        tasks.for_each(|(((d_gate, d_up), (gate, up)), dy)| backward(d_gate, d_up, gate, up, dy));
        let d_gate = if gate.track_op() { Some(matrix(d_gate, rows, cols)?) } else { None };
        let d_up = if up.track_op() { Some(matrix(d_up, rows, cols)?) } else { None };
        Ok((d_gate, d_up))
    }
}

vectorized! {
    pub(crate) fn forward(y: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate * sigmoid_inline(*gate) * up;
        }
    }
}

vectorized! {
    /// d silu(x) / dx = σ(x) · (1 + x · (1 − σ(x)))
    pub(crate) fn backward(d_gate: &mut [f32], d_up: &mut [f32], gate: &[f32], up: &[f32], dy: &[f32]) {
        let inputs = gate.iter().zip(up).zip(dy);
        for ((d_gate, d_up), ((gate, up), dy)) in d_gate.iter_mut().zip(d_up.iter_mut()).zip(inputs) {
            let sigmoid = sigmoid_inline(*gate);
            *d_up = dy * gate * sigmoid;
            *d_gate = dy * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix};

    #[test]
    fn agrees_with_a_composition() {
        for (rows, dim) in [(1, 1), (3, 67), (50, 1536)] {
            let (gate, up) = ((noise_matrix(rows, dim, 1) * 8.0).unwrap(), noise_matrix(rows, dim, 2));
            let expected = (gate.silu().unwrap() * &up).unwrap();
            assert_close(&flat(&swiglu(&gate, &up).unwrap()), &flat(&expected), 1e-6);
            assert_close(&flat(&swiglu(&awkward(&gate), &awkward(&up)).unwrap()), &flat(&expected), 1e-6);
        }
    }

    #[test]
    fn gradients() {
        check_gradients(&[noise_matrix(5, 9, 1), noise_matrix(5, 9, 2)], |x| swiglu(&x[0], &x[1]));
    }

    #[test]
    fn shapes_must_agree() {
        assert!(swiglu(&noise_matrix(2, 3, 1), &noise_matrix(3, 2, 1)).is_err());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (gate, up) = (noise_matrix(50, 1536, 1), noise_matrix(50, 1536, 2));
        assert_independent_of_threads(|| flat(&swiglu(&gate, &up).unwrap()));
    }
}

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    isa::{dot_inline, vectorized},
    operand::{Operand, dims2, matrix, rows_per_task, values},
};

const OP: &str = "rms_norm";

/// `weight · x / √(mean(x²) + eps)` over each row (arXiv 1910.07467): x `[rows, dim]`, weight `[dim]`.
///
/// A weight shorter than the row normalises each piece of its length by itself, as the norm of queries and keys per head
/// does. Differentiable in x; the weight is frozen.
///
/// # Errors
/// Where the length of the weight does not divide the row, or a tensor is not f32 on the CPU.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let (_, cols) = dims2(OP, "x", x.layout())?;
    match weight.dims() {
        [dim] if *dim > 0 && cols % dim == 0 => x.apply_op1(RmsNorm { weight: weight.detach(), eps }),
        dims => bail!("{OP}: a weight of shape {dims:?} does not fit rows of {cols} values"),
    }
}

struct RmsNorm {
    weight: Tensor,
    eps: f32,
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, cols) = dims2(OP, "x", layout)?;
        let x = values(OP, storage, layout)?;
        let weight = Operand::new(OP, &self.weight);
        let weight = weight.values()?;
        let mut y = vec![0.0; rows * cols];
        let task = rows_per_task(cols) * cols.max(1);
        y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(y, x)| forward(y, x, &weight, self.eps));
        Ok((CpuStorage::F32(y), (rows, cols).into()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let (rows, cols) = x.dims2()?;
        let (x, dy, weight) = (Operand::new(OP, x), Operand::new(OP, dy), Operand::new(OP, &self.weight));
        let (x, dy, weight) = (x.values()?, dy.values()?, weight.values()?);
        let mut dx = vec![0.0; rows * cols];
        let task = rows_per_task(cols) * cols.max(1);
        let tasks = dx.par_chunks_mut(task).zip(x.par_chunks(task)).zip(dy.par_chunks(task));
        tasks.for_each(|((dx, x), dy)| backward(dx, x, dy, &weight, self.eps));
        matrix(dx, rows, cols).map(Some)
    }
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot_inline(x, x) / x.len() as f32 + eps).sqrt()
}

vectorized! {
    pub(crate) fn forward(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        for (y, x) in y.chunks_exact_mut(weight.len()).zip(x.chunks_exact(weight.len())) {
            let inverse = inverse_rms(x, eps);
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = weight * (x * inverse);
            }
        }
    }
}

vectorized! {
    /// With u = dy · weight and i the inverse RMS: dx = i·u − x · i³ · (u · x) / dim.
    pub(crate) fn backward(dx: &mut [f32], x: &[f32], dy: &[f32], weight: &[f32], eps: f32) {
        let dim = weight.len();
        let pieces = dx.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(dy.chunks_exact(dim));
        for ((dx, x), dy) in pieces {
            let inverse = inverse_rms(x, eps);
            for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
                *dx = dy * weight;
            }
            let along = inverse * inverse * inverse * dot_inline(dx, x) / dim as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = inverse * *dx - along * x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix};

    #[test]
    fn agrees_with_a_composition_over_odd_shapes() {
        for (rows, dim) in [(1, 1), (3, 67), (50, 576)] {
            let x = noise_matrix(rows, dim, 1);
            let weight = noise_matrix(1, dim, 2).squeeze(0).unwrap();
            let mean = (x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap() + 1e-5).unwrap();
            let expected = x.broadcast_div(&mean.sqrt().unwrap()).unwrap().broadcast_mul(&weight).unwrap();
            for x in [x.clone(), awkward(&x)] {
                assert_close(&flat(&rms_norm(&x, &weight, 1e-5).unwrap()), &flat(&expected), 1e-6);
            }
        }
    }

    #[test]
    fn a_short_weight_norms_each_head() {
        let x = noise_matrix(4, 12, 1);
        let weight = noise_matrix(1, 4, 2).squeeze(0).unwrap();
        let heads = rms_norm(&x.reshape((12, 4)).unwrap(), &weight, 1e-5).unwrap();
        assert_eq!(flat(&rms_norm(&x, &weight, 1e-5).unwrap()), flat(&heads));
        assert!(rms_norm(&noise_matrix(4, 13, 1), &weight, 1e-5).is_err());
    }

    #[test]
    fn gradient() {
        let weight = noise_matrix(1, 9, 2).squeeze(0).unwrap();
        check_gradients(&[noise_matrix(5, 9, 1)], |x| rms_norm(&x[0], &weight, 1e-2));
        check_gradients(&[noise_matrix(5, 18, 1)], |x| rms_norm(&x[0], &weight, 1e-2));
    }

    #[test]
    fn does_not_depend_on_threads() {
        let x = noise_matrix(150, 576, 1);
        let weight = noise_matrix(1, 576, 2).squeeze(0).unwrap();
        assert_independent_of_threads(|| flat(&rms_norm(&x, &weight, 1e-5).unwrap()));
    }
}

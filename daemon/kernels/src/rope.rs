use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    isa::vectorized,
    operand::{Operand, dims2, matrix, rows_per_task, values},
};

const OP: &str = "rope";

/// Cosines and sines of rotary position embeddings (arXiv 2104.09864) for every position of a model's context.
#[derive(Debug)]
pub struct RopeTable {
    /// Per position, the cosines of all frequencies and then their sines.
    values: Vec<f32>,
    frequencies: usize,
}

impl RopeTable {
    /// A table for positions below `positions_max`.
    ///
    /// `inv_freq` holds a frequency per pair of values, half a head's width of them, in radians per position;
    /// `attention_scaling` multiplies cosines and sines, as YaRN and LongRoPE want it (1 elsewhere).
    pub fn new(inv_freq: &[f32], positions_max: usize, attention_scaling: f32) -> Self {
        let mut values = Vec::with_capacity(positions_max * inv_freq.len() * 2);
        for position in 0..positions_max {
            // The angle is rounded to f32 before its cosine is taken, as transformers does it.
            let angle = |frequency: &f32| f64::from(position as f32 * frequency);
            values.extend(inv_freq.iter().map(|f| angle(f).cos() as f32 * attention_scaling));
            values.extend(inv_freq.iter().map(|f| angle(f).sin() as f32 * attention_scaling));
        }
        Self { values, frequencies: inv_freq.len() }
    }

    /// How many positions the table holds.
    pub fn positions_max(&self) -> usize {
        self.values.len().checked_div(2 * self.frequencies).unwrap_or(0)
    }

    fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let start = position as usize * 2 * self.frequencies;
        self.values[start..start + 2 * self.frequencies].split_at(self.frequencies)
    }
}

/// Rotates each head of each row by its position, in the rotate-half form: value i is paired with value i + head_dim / 2.
///
/// x `[rows, heads · head_dim]`, one position per row. Where the table holds fewer than `head_dim / 2` frequencies, the
/// head's first values are rotated and the rest kept (partial rotary embeddings). Differentiable in x.
///
/// # Errors
/// Where shapes do not fit together, a position is outside of the table, or x is not f32 on the CPU.
pub fn rope(x: &Tensor, head_dim: usize, table: &Arc<RopeTable>, positions: &Arc<[u32]>) -> Result<Tensor> {
    let (rows, cols) = dims2(OP, "x", x.layout())?;
    if head_dim == 0 || cols % head_dim != 0 || 2 * table.frequencies > head_dim {
        bail!("{OP}: {cols} columns are not heads of {head_dim} with {} frequencies", table.frequencies);
    }
    if positions.len() != rows {
        bail!("{OP}: x has {rows} rows, but there are {} positions", positions.len());
    }
    if let Some(position) = positions.iter().find(|position| **position as usize >= table.positions_max()) {
        bail!("{OP}: position {position} is beyond the model's context of {} tokens", table.positions_max());
    }
    x.apply_op1(Rope { head_dim, table: table.clone(), positions: positions.clone() })
}

struct Rope {
    head_dim: usize,
    table: Arc<RopeTable>,
    positions: Arc<[u32]>,
}

impl Rope {
    /// Rotates by the positions times `sign`: 1 is the forward pass, −1 the rotation back, which is its gradient.
    fn rotate(&self, x: &[f32], cols: usize, sign: f32) -> Vec<f32> {
        let mut y = x.to_vec();
        let task_rows = rows_per_task(cols);
        let tasks = y.par_chunks_mut(task_rows * cols.max(1)).zip(self.positions.par_chunks(task_rows));
        tasks.for_each(|(y, positions)| {
            for (row, position) in y.chunks_exact_mut(cols).zip(positions) {
                let (cos, sin) = self.table.at(*position);
                rotate_heads(row, self.head_dim, cos, sin, sign);
            }
        });
        y
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, cols) = dims2(OP, "x", layout)?;
        let y = self.rotate(&values(OP, storage, layout)?, cols, 1.0);
        Ok((CpuStorage::F32(y), (rows, cols).into()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let (rows, cols) = x.dims2()?;
        matrix(self.rotate(&Operand::new(OP, dy).values()?, cols, -1.0), rows, cols).map(Some)
    }
}

vectorized! {
    pub(crate) fn rotate_heads(row: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], sign: f32) {
        for head in row.chunks_exact_mut(head_dim) {
            let (low, rest) = head.split_at_mut(cos.len());
            for ((low, high), (cos, sin)) in low.iter_mut().zip(rest).zip(cos.iter().zip(sin)) {
                let sin = sign * sin;
                (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, awkward, check_gradients, flat, noise_matrix};

    fn table(head_dim: usize) -> Arc<RopeTable> {
        let inv_freq: Vec<f32> =
            (0..head_dim / 2).map(|i| 10_000_f32.powf(-2.0 * i as f32 / head_dim as f32)).collect();
        Arc::new(RopeTable::new(&inv_freq, 64, 1.0))
    }

    fn positions(rows: usize) -> Arc<[u32]> {
        (0..rows as u32).map(|i| (i * 7) % 40).collect()
    }

    #[test]
    fn agrees_with_the_formula() {
        let (rows, heads, head_dim) = (9, 3, 10);
        let x = noise_matrix(rows, heads * head_dim, 1);
        let positions = positions(rows);
        let values = flat(&x);
        let mut expected = vec![0.0; values.len()];
        for row in 0..rows {
            for head in 0..heads {
                for i in 0..head_dim / 2 {
                    let at = (row * heads + head) * head_dim + i;
                    let angle = f64::from(positions[row]) * 10_000_f64.powf(-2.0 * i as f64 / head_dim as f64);
                    let (low, high) = (f64::from(values[at]), f64::from(values[at + head_dim / 2]));
                    expected[at] = (low * angle.cos() - high * angle.sin()) as f32;
                    expected[at + head_dim / 2] = (high * angle.cos() + low * angle.sin()) as f32;
                }
            }
        }
        for x in [x.clone(), awkward(&x)] {
            assert_close(&flat(&rope(&x, head_dim, &table(head_dim), &positions).unwrap()), &expected, 1e-5);
        }
    }

    #[test]
    fn gradient() {
        check_gradients(&[noise_matrix(5, 8, 1)], |x| rope(&x[0], 4, &table(4), &positions(5)));
    }

    #[test]
    fn a_partial_table_keeps_the_rest_of_the_head() {
        let x = noise_matrix(3, 8, 1);
        let y = rope(&x, 8, &table(4), &positions(3)).unwrap();
        assert_eq!(flat(&x.narrow(1, 4, 4).unwrap()), flat(&y.narrow(1, 4, 4).unwrap()));
        assert_ne!(flat(&x), flat(&y));
    }

    #[test]
    fn positions_beyond_the_table_are_refused() {
        let far: Arc<[u32]> = Arc::from([64]);
        assert!(rope(&noise_matrix(1, 4, 1), 4, &table(4), &far).unwrap_err().to_string().contains("context of 64"));
        assert!(rope(&noise_matrix(2, 4, 1), 4, &table(4), &far).is_err());
    }
}

use std::sync::OnceLock;

use rayon::prelude::*;

use crate::{rows::rows_per_task, vectorized::vectorized};

/// The positions whose angles are computed together.
const BLOCK_POSITIONS: usize = 512;

/// Cosines and sines of rotary position embeddings (arXiv 2104.09864) for every position of a model's context. They are computed
/// when a position near them is first asked for: a context may be far longer than any text, and is only a number in a file.
#[derive(Debug)]
pub struct RopeTable {
    /// Per position, the cosines of all frequencies and then their sines.
    blocks: Vec<OnceLock<Vec<f32>>>,
    inv_freq: Vec<f32>,
    positions_max: usize,
    attention_scaling: f32,
}

impl RopeTable {
    /// A table for positions below `positions_max`.
    ///
    /// `inv_freq` holds a frequency per pair of values, half a head's width of them, in radians per position;
    /// `attention_scaling` multiplies cosines and sines, as YaRN and LongRoPE want it (1 elsewhere).
    pub fn new(inv_freq: &[f32], positions_max: usize, attention_scaling: f32) -> Self {
        let blocks = (0..positions_max.div_ceil(BLOCK_POSITIONS)).map(|_| OnceLock::new()).collect();
        Self { blocks, inv_freq: inv_freq.to_vec(), positions_max, attention_scaling }
    }

    /// How many positions the table holds.
    pub fn positions_max(&self) -> usize {
        self.positions_max
    }

    /// The cosines and the sines of a position, one per frequency.
    ///
    /// # Panics
    /// Where the table does not hold the position.
    pub fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let (block, place) = (position as usize / BLOCK_POSITIONS, position as usize % BLOCK_POSITIONS);
        let values = self.blocks[block].get_or_init(|| self.block(block));
        let width = 2 * self.inv_freq.len();
        values[place * width..][..width].split_at(self.inv_freq.len())
    }

    fn block(&self, block: usize) -> Vec<f32> {
        let first = block * BLOCK_POSITIONS;
        let end = self.positions_max.min(first + BLOCK_POSITIONS);
        let mut values = Vec::with_capacity((end - first) * 2 * self.inv_freq.len());
        for position in first..end {
            // The angle is rounded to f32 before its cosine is taken, as transformers does it.
            let angle = |frequency: &f32| f64::from(position as f32 * frequency);
            values.extend(self.inv_freq.iter().map(|f| angle(f).cos() as f32 * self.attention_scaling));
            values.extend(self.inv_freq.iter().map(|f| angle(f).sin() as f32 * self.attention_scaling));
        }
        values
    }
}

/// Rotates each head of each row of x by its position, in place and in the rotate-half form: value i is paired with value
/// i + head_dim / 2. x is `[rows, heads · head_dim]`, one position per row. [`Turn::Back`] undoes [`Turn::Forth`], and is its
/// gradient. Where the table holds fewer than `head_dim / 2` frequencies, the head's first values are rotated and the rest
/// kept (partial rotary embeddings).
///
/// # Panics
/// Where shapes do not fit together, or a position is outside of the table.
pub fn rope(x: &mut [f32], head_dim: usize, table: &RopeTable, positions: &[u32], turn: Turn) {
    let cols = x.len().checked_div(positions.len()).unwrap_or(0);
    let heads = cols.checked_div(head_dim).unwrap_or(0);
    assert!(x.len() == positions.len() * heads * head_dim && 2 * table.inv_freq.len() <= head_dim, "operands of rope");
    let sign = if turn == Turn::Forth { 1.0 } else { -1.0 };
    let task_rows = rows_per_task(cols);
    let tasks = x.par_chunks_mut(task_rows * cols.max(1)).zip(positions.par_chunks(task_rows));
    tasks.for_each(|(x, positions)| {
        for (row, position) in x.chunks_exact_mut(cols).zip(positions) {
            let (cos, sin) = table.at(*position);
            rotate_heads(row, head_dim, cos, sin, sign);
        }
    });
}

/// Which way [`rope`] rotates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// By the positions: the forward pass.
    Forth,
    /// Against them: the backward pass.
    Back,
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
    use crate::testing::{assert_close, check_slopes, noise};

    fn table(head_dim: usize) -> RopeTable {
        let inv_freq: Vec<f32> =
            (0..head_dim / 2).map(|i| 10_000_f32.powf(-2.0 * i as f32 / head_dim as f32)).collect();
        RopeTable::new(&inv_freq, 64, 1.0)
    }

    fn positions(rows: usize) -> Vec<u32> {
        (0..rows as u32).map(|i| (i * 7) % 40).collect()
    }

    fn rotated(x: &[f32], head_dim: usize, table: &RopeTable, positions: &[u32], turn: Turn) -> Vec<f32> {
        let mut y = x.to_vec();
        rope(&mut y, head_dim, table, positions, turn);
        y
    }

    #[test]
    fn agrees_with_the_formula() {
        let (rows, heads, head_dim) = (9, 3, 10);
        let x = noise(rows * heads * head_dim, 1);
        let positions = positions(rows);
        let mut expected = vec![0.0; x.len()];
        for (row, position) in positions.iter().enumerate() {
            for head in 0..heads {
                for i in 0..head_dim / 2 {
                    let at = (row * heads + head) * head_dim + i;
                    let angle = f64::from(*position) * 10_000_f64.powf(-2.0 * i as f64 / head_dim as f64);
                    let (low, high) = (f64::from(x[at]), f64::from(x[at + head_dim / 2]));
                    expected[at] = (low * angle.cos() - high * angle.sin()) as f32;
                    expected[at + head_dim / 2] = (high * angle.cos() + low * angle.sin()) as f32;
                }
            }
        }
        assert_close(&rotated(&x, head_dim, &table(head_dim), &positions, Turn::Forth), &expected, 1e-5);
    }

    #[test]
    fn the_way_back_is_the_gradient() {
        let (x, dy, table, positions) = (noise(40, 1), noise(40, 2), table(4), positions(5));
        let dx = rotated(&dy, 4, &table, &positions, Turn::Back);
        check_slopes(&x, &dx, |x| (rotated(x, 4, &table, &positions, Turn::Forth), dy.clone()));
    }

    #[test]
    fn a_partial_table_keeps_the_rest_of_the_head() {
        let x = noise(8, 1);
        let y = rotated(&x, 8, &table(4), &[5], Turn::Forth);
        assert_eq!(x[4..], y[4..]);
        assert_ne!(x[..4], y[..4]);
    }
}

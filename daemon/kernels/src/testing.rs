//! What the tests of the kernels share: noise, comparison, and the check of a backward pass by finite differences.

use crate::attention::Heads;

/// Values in [-1, 1) that depend on the seed alone.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Asserts that two slices differ by at most `tolerance`, relative to the greatest value.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    let greatest = expected.iter().fold(1e-3_f32, |max, x| max.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / greatest;
        assert!(error <= tolerance, "value {i} is {got}, expected {expected} (error {error})");
    }
}

/// Checks a gradient against central differences in every coordinate of x. `run` gives y and the gradient of the loss by y,
/// which must not depend on x: the loss is their product.
///
/// f32 limits central differences to about three digits, which is ample to tell a right formula from a wrong one.
#[track_caller]
pub(crate) fn check_slopes(x: &[f32], gradient: &[f32], run: impl Fn(&[f32]) -> (Vec<f32>, Vec<f32>)) {
    const STEP: f32 = 1e-2;
    let loss = |x: &[f32]| -> f64 {
        let (y, dy) = run(x);
        assert_eq!(y.len(), dy.len());
        y.iter().zip(&dy).map(|(y, dy)| f64::from(*y) * f64::from(*dy)).sum()
    };
    let slope = |at: usize| {
        let shifted = |step: f32| {
            let mut x = x.to_vec();
            x[at] += step;
            loss(&x)
        };
        ((shifted(STEP) - shifted(-STEP)) / (2.0 * f64::from(STEP))) as f32
    };
    let numeric: Vec<f32> = (0..x.len()).map(slope).collect();
    assert_close(gradient, &numeric, 3e-3);
}

/// Runs `f` in rayon pools of one, two and three threads and asserts that the results are the same to the bit.
#[track_caller]
pub(crate) fn assert_independent_of_threads(f: impl Fn() -> Vec<f32> + Sync) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&f).into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

/// Causal grouped-query attention by its formula in f64.
pub(crate) fn reference_attention(q: &[f32], k: &[f32], v: &[f32], lengths: &[usize], heads: Heads) -> Vec<f32> {
    let (q_cols, kv_cols, dim) = (heads.q_cols(), heads.kv_cols(), heads.dim);
    let mut out = vec![0.0; q.len()];
    let mut start = 0;
    for length in lengths {
        for i in start..start + length {
            for head in 0..heads.q_heads {
                let kv_at = |j: usize| j * kv_cols + head / heads.group() * dim;
                let score = |j: usize| -> f64 {
                    let dot: f64 =
                        (0..dim).map(|d| f64::from(q[i * q_cols + head * dim + d]) * f64::from(k[kv_at(j) + d])).sum();
                    (dot / (dim as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = (start..=i).map(score).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..dim {
                    let sum: f64 =
                        weights.iter().enumerate().map(|(j, w)| w * f64::from(v[kv_at(start + j) + d])).sum();
                    out[i * q_cols + head * dim + d] = (sum / total) as f32;
                }
            }
        }
        start += length;
    }
    out
}

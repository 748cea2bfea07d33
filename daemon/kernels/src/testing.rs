//! What the tests of the ops share: noise, comparison, and the check of a backward pass by finite differences.

use candle_core::{Device, Result, Tensor, Var};

/// Values in [-1, 1) that depend on the seed alone.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Noise as a matrix.
pub(crate) fn noise_matrix(rows: usize, cols: usize, seed: u64) -> Tensor {
    Tensor::from_vec(noise(rows * cols, seed), (rows, cols), &Device::Cpu).unwrap()
}

/// The same matrix, stored as columns of a wider one, so that it is neither contiguous nor at the start of its storage.
pub(crate) fn awkward(x: &Tensor) -> Tensor {
    let (rows, _) = x.dims2().unwrap();
    let pad = noise_matrix(rows, 3, 99);
    let wide = Tensor::cat(&[&pad, &x.detach(), &pad], 1).unwrap();
    wide.narrow(1, 3, x.dim(1).unwrap()).unwrap()
}

pub(crate) fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
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

/// Checks the gradients of `op` against central differences in every coordinate of every input.
///
/// The loss is the product of the result with fixed noise. f32 limits central differences to about three digits, which
/// is ample to tell a right formula from a wrong one.
#[track_caller]
pub(crate) fn check_gradients(inputs: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f32 = 1e-2;
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = op(&tracked).unwrap();
    let weights = noise(y.elem_count(), 4242);
    let weight_tensor = Tensor::from_slice(&weights, y.shape(), &Device::Cpu).unwrap();
    let gradients = (&y * &weight_tensor).unwrap().sum_all().unwrap().backward().unwrap();
    let loss = |inputs: &[Tensor]| -> f64 {
        let y = flat(&op(inputs).unwrap());
        y.iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
    };
    for (which, input) in inputs.iter().enumerate() {
        let gradient = flat(gradients.get(&vars[which]).expect("a gradient for every input"));
        let values = flat(input);
        let mut numeric = Vec::with_capacity(values.len());
        for i in 0..values.len() {
            let shifted = |step: f32| {
                let mut values = values.clone();
                values[i] += step;
                let mut inputs = inputs.to_vec();
                inputs[which] = Tensor::from_vec(values, input.shape(), &Device::Cpu).unwrap();
                loss(&inputs)
            };
            numeric.push(((shifted(STEP) - shifted(-STEP)) / (2.0 * f64::from(STEP))) as f32);
        }
        assert_close(&gradient, &numeric, 3e-3);
    }
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
pub(crate) fn reference_attention(q: &Tensor, k: &Tensor, v: &Tensor, lengths: &[usize], dim: usize) -> Vec<f32> {
    let (q_cols, kv_cols) = (q.dim(1).unwrap(), k.dim(1).unwrap());
    let group = q_cols / kv_cols;
    let (q, k, v) = (flat(q), flat(k), flat(v));
    let mut out = vec![0.0; q.len()];
    let mut start = 0;
    for length in lengths {
        for i in start..start + length {
            for head in 0..q_cols / dim {
                let kv_at = |j: usize| j * kv_cols + head / group * dim;
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

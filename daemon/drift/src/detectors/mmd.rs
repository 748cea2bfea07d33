use super::{
    Detector, Scope,
    vectors::{Vectors, dot},
};
use crate::{Comparison, Random, Tail, View};

/// How far the embeddings have moved, in whatever way: the squared maximum mean discrepancy under a Gaussian kernel, unbiased
/// (Gretton and others, "A Kernel Two-Sample Test", 2012, lemma 6), by random Fourier features (Rahimi and Recht, "Random Features
/// for Large-Scale Kernel Machines", 2007). The kernel is as wide as the median distance of the reference's vectors.
pub(super) struct Mmd;

/// Random directions; each has a cosine and a sine.
const DIRECTIONS: usize = 64;

/// Vectors of the reference whose distances say how wide the kernel is.
const WIDTH_OF: usize = 100;

/// The least discrepancy that is worth telling.
const FLOOR: f64 = 0.002;

impl Detector for Mmd {
    fn name(&self) -> &'static str {
        "embedding_mmd"
    }

    fn meaning(&self) -> &'static str {
        "squared maximum mean discrepancy of the embeddings: 0 as before, above 0.1 other texts"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let vectors = Vectors::of(reference, current)?;
        let [reference, current] = vectors.counts;
        let features = features(&vectors)?;
        let score = move |reference: &[u32], current: &[u32]| {
            let (before, now) = (features.mean(reference), features.mean(current));
            // The kernel of a vector with itself is 1, and no part of an unbiased mean.
            let within = |mean: &[f64], count: f64| (count * dot(mean, mean) - 1.0) / (count - 1.0).max(1.0);
            let [n, m] = [reference.len() as f64, current.len() as f64];
            within(&before, n) + within(&now, m) - 2.0 * dot(&before, &now)
        };
        let score = Box::new(score);
        Some(Comparison { reference, current, tail: Tail::Exponential, floor: FLOOR, has_ghost: false, score })
    }
}

/// √(1/D)·(cos, sin)(wᵀx) for D directions w: the dot product of two is about their kernel. `None` where all vectors are one.
fn features(vectors: &Vectors) -> Option<Vectors> {
    let width = width(vectors).filter(|width| *width > 0.0)?;
    let mut random = Random::named("perennial random features 1");
    let directions: Vec<f32> = (0..DIRECTIONS * vectors.dim).map(|_| (random.normal() / width) as f32).collect();
    let scale = (1.0 / DIRECTIONS as f32).sqrt();
    let mut values = Vec::with_capacity(vectors.values.len() / vectors.dim * 2 * DIRECTIONS);
    for vector in vectors.values.chunks_exact(vectors.dim) {
        for direction in directions.chunks_exact(vectors.dim) {
            let angle: f32 = direction.iter().zip(vector).map(|(one, other)| one * other).sum();
            let (sine, cosine) = angle.sin_cos();
            values.extend([scale * cosine, scale * sine]);
        }
    }
    Some(Vectors { dim: 2 * DIRECTIONS, values, counts: vectors.counts })
}

/// The median distance between vectors of the reference, evenly chosen.
fn width(vectors: &Vectors) -> Option<f64> {
    let [reference, _] = vectors.counts;
    let step = reference.div_ceil(WIDTH_OF).max(1);
    let chosen: Vec<&[f32]> = (0..reference).step_by(step).map(|unit| vectors.vector(unit as u32)).collect();
    let squared = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum()
    };
    let pairs = chosen.iter().enumerate().flat_map(|(at, one)| chosen[at + 1..].iter().map(move |other| (one, other)));
    let mut distances: Vec<f64> = pairs.map(|(one, other)| squared(one, other).sqrt()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use perennial_types::Domain;

    use super::*;
    use crate::{Row, Window};

    fn window(count: usize, shift: f64, seed: u64) -> Window {
        let mut random = Random::new(seed);
        let mut vector = || (0..16).map(|_| (random.normal() + shift) as f32).collect::<Vec<f32>>();
        let rows = (0..count).map(|_| Row { vector: Some(vector()), ..Row::new(Domain::default()) }).collect();
        Window { rows, ..Window::default() }
    }

    /// The unbiased estimate with the kernel itself, by its definition.
    fn exact(reference: &Window, current: &Window) -> f64 {
        let vectors = Vectors::of(&reference.whole(), &current.whole()).unwrap();
        let width = width(&vectors).unwrap();
        let [n, m] = vectors.counts.map(|count| count as u32);
        let kernel = |one: u32, other: u32| -> f64 {
            let pairs = vectors.vector(one).iter().zip(vectors.vector(other));
            (-pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / (2.0 * width * width)).exp()
        };
        let mean = |ones: std::ops::Range<u32>, others: std::ops::Range<u32>| {
            let pairs = ones.flat_map(|one| others.clone().map(move |other| (one, other))).filter(|(a, b)| a != b);
            let kernels: Vec<f64> = pairs.map(|(one, other)| kernel(one, other)).collect();
            kernels.iter().sum::<f64>() / kernels.len() as f64
        };
        mean(0..n, 0..n) + mean(n..n + m, n..n + m) - 2.0 * mean(0..n, n..n + m)
    }

    #[test]
    fn random_features_come_near_to_the_kernel() {
        for shift in [0.0, 0.2, 0.5] {
            let (reference, current) = (window(150, 0.0, 1), window(120, shift, 2));
            let found = Mmd.compare(&reference.whole(), &current.whole()).unwrap().observed();
            let exact = exact(&reference, &current);
            assert!((found - exact).abs() < 0.25 * exact.abs() + 0.01, "{shift}: {found} {exact}");
        }
    }

    #[test]
    fn a_change_of_spread_is_seen_though_the_middle_stays() {
        let (reference, mut current) = (window(200, 0.0, 3), window(200, 0.0, 4));
        for row in &mut current.rows {
            row.vector.iter_mut().flatten().for_each(|value| *value *= 2.0);
        }
        let compared = Mmd.compare(&reference.whole(), &current.whole()).unwrap();
        assert!(compared.observed() > compared.threshold(1e-6, Random::new(5)), "{}", compared.observed());
    }
}

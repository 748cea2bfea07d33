use rayon::prelude::*;

/// The squared Euclidean distance of each vector to `from`. For vectors of unit length it is 2 − 2·cos.
pub fn distances(from: &[f32], to: &[&[f32]]) -> Vec<f32> {
    to.par_iter().map(|vector| squared(from, vector)).collect()
}

/// For each vector, the place of the nearest of the others, the first of several, and its squared Euclidean distance; `None`
/// where there are no others.
pub fn nearest(vectors: &[&[f32]], others: &[&[f32]]) -> Vec<Option<(usize, f32)>> {
    let of_one = |vector: &&[f32]| {
        let all = others.iter().enumerate().map(|(place, other)| (place, squared(vector, other)));
        all.min_by(|(one, near), (other, far)| near.total_cmp(far).then(one.cmp(other)))
    };
    vectors.par_iter().map(of_one).collect()
}

/// In lanes, so that it is computed in vectors and always in the same order.
fn squared(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (ones, rest) = one.as_chunks::<LANES>();
    let (others, other_rest) = other.as_chunks::<LANES>();
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..LANES {
            let difference = one[lane] - other[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest = rest.iter().zip(other_rest).map(|(one, other)| (one - other) * (one - other));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_squared_and_the_nearest_is_found() {
        let long: Vec<f32> = (0..37).map(|n| n as f32).collect();
        let moved: Vec<f32> = long.iter().map(|value| value + 2.0).collect();
        assert_eq!(distances(&long, &[&long, &moved]), [0.0, 37.0 * 4.0]);
        let (a, b, c) = ([0.0, 0.0], [3.0, 4.0], [1.0, 0.0]);
        assert_eq!(nearest(&[&a, &b], &[&b, &c, &c]), [Some((1, 1.0)), Some((0, 0.0))]);
        assert_eq!(nearest(&[&a], &[]), [None]);
    }
}

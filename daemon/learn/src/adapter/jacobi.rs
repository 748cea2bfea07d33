use nalgebra::DMatrix;

/// Sweeps over all pairs of columns, at most. It takes about ten.
const SWEEPS_MAX: usize = 60;

/// The singular values of a square matrix, the greatest first, with its left and its right singular vectors as columns, by one-sided
/// Jacobi rotations (Hestenes, 1958; Golub and Van Loan, Matrix Computations, 8.6.3): columns are turned by pairs until they are all
/// orthogonal. Slow for large matrices, and accurate to the smallest value whatever the rank. A left vector of the value 0 is zero.
pub(super) fn svd(matrix: &DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>, DMatrix<f64>) {
    let n = matrix.ncols();
    let (mut turned, mut right) = (matrix.clone(), DMatrix::identity(n, n));
    for _ in 0..SWEEPS_MAX {
        let mut orthogonal = true;
        for p in 0..n {
            for q in p + 1..n {
                let (a, b) = (turned.column(p).norm_squared(), turned.column(q).norm_squared());
                let c = turned.column(p).dot(&turned.column(q));
                if c.abs() <= f64::EPSILON * (a * b).sqrt() {
                    continue;
                }
                orthogonal = false;
                let zeta = (b - a) / (2.0 * c);
                let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                turn(&mut turned, p, q, (cos, cos * t));
                turn(&mut right, p, q, (cos, cos * t));
            }
        }
        if orthogonal {
            break;
        }
    }
    let mut order: Vec<(f64, usize)> = (0..n).map(|at| (turned.column(at).norm(), at)).collect();
    order.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let columns = |of: &DMatrix<f64>| of.select_columns(order.iter().map(|(_, at)| at));
    let (mut left, right) = (columns(&turned), columns(&right));
    for (at, (value, _)) in order.iter().enumerate().filter(|(_, (value, _))| *value > 0.0) {
        left.column_mut(at).unscale_mut(*value);
    }
    (left, order.into_iter().map(|(value, _)| value).collect(), right)
}

fn turn(matrix: &mut DMatrix<f64>, p: usize, q: usize, (cos, sin): (f64, f64)) {
    for row in 0..matrix.nrows() {
        let (one, other) = (matrix[(row, p)], matrix[(row, q)]);
        matrix[(row, p)] = cos * one - sin * other;
        matrix[(row, q)] = sin * one + cos * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rank_is_put_together_again() {
        for (n, rank) in [(1, 1), (4, 2), (8, 8), (16, 3), (3, 0)] {
            let of = |rows: usize, columns: usize, seed: usize| {
                DMatrix::from_fn(rows, columns, |row, column| ((row * 7 + column * 13 + seed) as f64 * 1.7).sin())
            };
            let matrix = of(n, rank, 1) * of(rank, n, 5);
            let (left, values, right) = svd(&matrix);
            let again = &left * DMatrix::from_diagonal(&values.clone().into()) * right.transpose();
            assert!((again - &matrix).norm() <= 1e-13 * (1.0 + matrix.norm()), "{n} of rank {rank}");
            assert!(values.is_sorted_by(|one, other| one >= other));
            assert!(values.iter().skip(rank).all(|value| *value <= 1e-12), "{values:?}");
            assert!((right.transpose() * &right - DMatrix::identity(n, n)).norm() < 1e-12);
        }
    }
}

//! What is read off a matrix. Each is nothing where a cell that it needs was not measured.

use super::matrix::Matrix;

/// `A_k = 1/k Σ_{j ≤ k} R[k, j]`: the mean over the tasks learned so far (Chaudhry et al. 2018, arXiv:1801.10112). `k`
/// counts from 1; with `k = T` it is ACC (Lopez-Paz and Ranzato 2017, arXiv:1706.08840, equation 2).
pub(super) fn average_at(r: &Matrix, k: usize) -> Option<f64> {
    mean((1..=k).map(|j| r.get(k, j)))
}

/// `ACC = 1/T Σ_i R[T, i]`.
pub(super) fn accuracy(r: &Matrix) -> Option<f64> {
    average_at(r, r.tasks())
}

/// `1/T Σ_i R[i, i]`: how well each task was known when it had just been learned.
pub(super) fn learned(r: &Matrix) -> Option<f64> {
    mean((1..=r.tasks()).map(|i| r.get(i, i)))
}

/// `BWT = 1/(T−1) Σ_{i < T} (R[T, i] − R[i, i])`: what later tasks did to earlier ones, below 0 where they were forgotten
/// (Lopez-Paz and Ranzato 2017, equation 3). Nothing for a single task.
pub(super) fn backward_transfer(r: &Matrix) -> Option<f64> {
    let last = r.tasks();
    mean((1..last).map(|i| Some(r.get(last, i)? - r.get(i, i)?)))
}

/// `FWT = 1/(T−1) Σ_{i ≥ 2} (R[i−1, i] − R[0, i])`: what earlier tasks gave to one that was not learned yet, over the base model
/// (Lopez-Paz and Ranzato 2017, equation 4, whose `b̄` is a model at its random start). Nothing for a single task.
pub(super) fn forward_transfer(r: &Matrix) -> Option<f64> {
    mean((2..=r.tasks()).map(|i| Some(r.get(i - 1, i)? - r.get(0, i)?)))
}

/// `F_k = 1/(k−1) Σ_{j < k} (max_{1 ≤ l < k} R[l, j] − R[k, j])`: how far each earlier task lies below the best that it ever was
/// (Chaudhry et al. 2018). The best of several noisy scores is flattered, so a model that forgets nothing has a
/// little more than 0, the more so the fewer the items. Nothing for `k < 2`.
pub(super) fn forgetting_at(r: &Matrix, k: usize) -> Option<f64> {
    let forgotten = |j| {
        let before = (1..k).map(|l| r.get(l, j)).collect::<Option<Vec<f64>>>()?;
        Some(before.into_iter().reduce(f64::max)? - r.get(k, j)?)
    };
    mean((1..k).map(forgotten))
}

/// Forgetting after the last task, `F_T`.
pub(super) fn forgetting(r: &Matrix) -> Option<f64> {
    forgetting_at(r, r.tasks())
}

/// `I = 1/T Σ_k (a*_k − R[k, k])`: how much less is learned of each task than a reference learns of it, above 0 where learning is
/// held back (Chaudhry et al. 2018). Theirs is a model trained on tasks 1 to `k` at once for each `k`; ours is
/// one that was trained on all tasks at once. As both are means over the same tasks, it is the reference's mean score
/// without [`learned`].
pub(super) fn intransigence(reference: Option<f64>, learned: Option<f64>) -> Option<f64> {
    Some(reference? - learned?)
}

/// The mean; nothing where there is nothing, or where one is missing.
pub(super) fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::{super::matrix::tests::matrix, *};

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-12)
    }

    #[test]
    fn all_are_as_computed_by_hand() {
        let r = matrix(&[[0.1, 0.0, 0.2], [0.8, 0.1, 0.3], [0.6, 0.9, 0.1], [0.7, 0.5, 0.6]]);
        assert!(close(accuracy(&r), (0.7 + 0.5 + 0.6) / 3.0));
        assert!(close(average_at(&r, 1), 0.8));
        assert!(close(average_at(&r, 2), (0.6 + 0.9) / 2.0));
        assert!(close(learned(&r), (0.8 + 0.9 + 0.6) / 3.0));
        // (0.7 − 0.8 + 0.5 − 0.9) / 2
        assert!(close(backward_transfer(&r), -0.25));
        // (R[1,2] − R[0,2] + R[2,3] − R[0,3]) / 2 = (0.1 + −0.1) / 2
        assert!(close(forward_transfer(&r), 0.0));
        assert!(close(forgetting_at(&r, 2), 0.8 - 0.6));
        // max(0.8, 0.6) − 0.7 and max(0.1, 0.9) − 0.5
        assert!(close(forgetting(&r), (0.1 + 0.4) / 2.0));
        // A model of all tasks at once that has 0.9, 0.8 and 0.7.
        assert!(close(intransigence(Some(0.8), learned(&r)), (0.9 - 0.8 + 0.8 - 0.9 + 0.7 - 0.6) / 3.0));
    }

    #[test]
    fn a_gain_is_no_forgetting_but_takes_from_it() {
        let r = matrix(&[[0.0, 0.0], [0.5, 0.0], [0.7, 0.5]]);
        assert!(close(forgetting(&r), -0.2));
        assert!(close(backward_transfer(&r), 0.2));
    }

    #[test]
    fn of_a_single_task_nothing_can_be_forgotten() {
        let r = matrix(&[[0.1], [0.9]]);
        assert!(close(accuracy(&r), 0.9) && close(learned(&r), 0.9));
        assert_eq!((backward_transfer(&r), forward_transfer(&r), forgetting(&r)), (None, None, None));
        let none = Matrix::new(0);
        assert_eq!((accuracy(&none), learned(&none), forgetting(&none)), (None, None, None));
    }

    #[test]
    fn a_cell_that_is_missing_is_missed_by_those_that_need_it_alone() {
        let mut r = matrix(&[[0.1, 0.0], [0.8, 0.1], [0.6, 0.9]]);
        r.set(1, 1, None);
        assert!(close(accuracy(&r), 0.75));
        assert_eq!((learned(&r), backward_transfer(&r), forgetting(&r)), (None, None, None));
        assert!(close(forward_transfer(&r), 0.1));
        assert_eq!(intransigence(None, Some(0.5)), None);
        // Joint training has its last row alone.
        let mut joint = Matrix::new(2);
        joint.set(2, 1, Some(0.5));
        joint.set(2, 2, Some(0.7));
        assert!(close(accuracy(&joint), 0.6));
        assert_eq!((learned(&joint), forgetting(&joint)), (None, None));
    }
}

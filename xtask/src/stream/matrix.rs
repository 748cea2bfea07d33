use serde::{Deserialize, Serialize};

/// R: `R[t, i]` is the score on task `i` after learning tasks 1 to `t`, and row 0 is the base model (Lopez-Paz and Ranzato 2017,
/// arXiv:1706.08840). Tasks count from 1, in the order in which they are learned. A cell that was not measured is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Matrix(Vec<Vec<Option<f64>>>);

impl Matrix {
    /// An empty matrix of so many tasks.
    pub(super) fn new(tasks: usize) -> Self {
        Self(vec![vec![None; tasks]; tasks + 1])
    }

    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// `R[t, i]`, where `i` counts from 1.
    pub(crate) fn get(&self, t: usize, i: usize) -> Option<f64> {
        *self.0.get(t)?.get(i.checked_sub(1)?)?
    }

    /// Fills `R[t, i]`; a cell outside of the matrix is none.
    pub(super) fn set(&mut self, t: usize, i: usize, score: Option<f64>) {
        let cell = i.checked_sub(1).and_then(|column| self.0.get_mut(t)?.get_mut(column));
        if let Some(cell) = cell {
            *cell = score;
        }
    }

    /// The mean of each cell over matrices of the same size, over those that have it.
    pub(super) fn mean(all: &[&Self]) -> Option<Self> {
        let tasks = all.first()?.tasks();
        let mut mean = Self::new(tasks);
        for t in 0..=tasks {
            for i in 1..=tasks {
                let cells: Vec<f64> = all.iter().filter_map(|matrix| matrix.get(t, i)).collect();
                let score = (!cells.is_empty()).then(|| cells.iter().sum::<f64>() / cells.len() as f64);
                mean.set(t, i, score);
            }
        }
        Some(mean)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A matrix with these rows, the base model's first.
    pub(in super::super) fn matrix<const TASKS: usize>(rows: &[[f64; TASKS]]) -> Matrix {
        let mut matrix = Matrix::new(TASKS);
        for (t, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(column, score)| matrix.set(t, column + 1, Some(*score)));
        }
        matrix
    }

    #[test]
    fn cells_outside_are_empty_and_cannot_be_filled() {
        let mut matrix = Matrix::new(2);
        matrix.set(3, 1, Some(1.0));
        matrix.set(1, 0, Some(1.0));
        assert_eq!(matrix, Matrix::new(2));
        assert_eq!((matrix.get(3, 1), matrix.get(1, 0), matrix.get(0, 3)), (None, None, None));
        assert_eq!(Matrix::new(0).tasks(), 0);
    }

    #[test]
    fn a_mean_is_over_those_that_have_the_cell() {
        let (mut one, mut two) = (Matrix::new(1), Matrix::new(1));
        one.set(1, 1, Some(0.5));
        two.set(1, 1, Some(1.0));
        two.set(0, 1, Some(0.25));
        let mean = Matrix::mean(&[&one, &two]).unwrap();
        assert_eq!((mean.get(0, 1), mean.get(1, 1)), (Some(0.25), Some(0.75)));
        assert_eq!(Matrix::mean(&[]), None);
    }
}

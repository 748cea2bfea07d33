/// Numbers in rows of one width, such as hidden states: `[rows, cols]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    values: Vec<f32>,
    cols: usize,
}

impl Matrix {
    /// # Panics
    /// Where the values do not make up rows: a bug of the caller.
    pub fn new(values: Vec<f32>, cols: usize) -> Self {
        assert!(cols > 0 && values.len().is_multiple_of(cols), "{} values in rows of {cols}", values.len());
        Self { values, cols }
    }

    /// All rows one after another.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// As [`values`](Self::values).
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    pub(super) fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Slices of [`cols`](Self::cols) values, from the first row on.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.cols)
    }

    /// These rows, in this order.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn select(&self, rows: &[u32]) -> Self {
        let row = |at: &u32| &self.values[*at as usize * self.cols..][..self.cols];
        Self { values: rows.iter().flat_map(row).copied().collect(), cols: self.cols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_in_order() {
        let matrix = Matrix::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2);
        assert_eq!(matrix.rows().nth(1).unwrap(), [3.0, 4.0]);
        assert_eq!(matrix.select(&[2, 0, 2]).values(), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    }
}

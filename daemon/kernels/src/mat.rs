use std::{marker::PhantomData, ops::Range};

/// A matrix in a slice: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub struct Mat<'a, T = f32> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// Where the slice is shorter.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix with gaps between its rows: some columns of a wider one.
    ///
    /// # Panics
    /// Where the slice is shorter.
    pub fn strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, cols, row_stride), "a slice of {} for {rows} x {cols} values", data.len());
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, over the same numbers.
    pub fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }
}

impl<T> Mat<'_, T> {
    /// Some rows and columns.
    pub(crate) fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        debug_assert!(rows.end <= self.rows && cols.end <= self.cols, "a part of a matrix");
        let data = &self.data[rows.start * self.row_stride + cols.start * self.col_stride..];
        Self { data, rows: rows.len(), cols: cols.len(), ..self }
    }
}

/// Whether a row-major matrix fits into a slice.
fn fits(len: usize, rows: usize, cols: usize, row_stride: usize) -> bool {
    rows == 0 || cols == 0 || (cols <= row_stride || rows == 1) && (rows - 1) * row_stride + cols <= len
}

/// A matrix of f32 that is written to: element (i, j) is at `i * row_stride + j * col_stride`, and no two are at one place.
pub struct MatMut<'a> {
    data: *mut f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a mutable borrow of a slice, which can be sent and shared; shared access writes only through
// `at`, whose callers promise not to meet.
unsafe impl Send for MatMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// Where the slice is shorter.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix with gaps between its rows: some columns of a wider one.
    ///
    /// # Panics
    /// Where the slice is shorter.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, cols, row_stride), "a slice of {} for {rows} x {cols} values", data.len());
        Self { data: data.as_mut_ptr(), rows, cols, row_stride, col_stride: 1, slice: PhantomData }
    }

    pub(crate) fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride, slice } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride, slice }
    }

    /// # Safety
    /// The element is inside the matrix.
    pub(crate) unsafe fn at(&self, row: usize, col: usize) -> *mut f32 {
        // SAFETY: the constructors checked that all elements are inside the slice.
        unsafe { self.data.add(row * self.row_stride + col * self.col_stride) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a slice of 10 for 3 x 4 values")]
    fn short_slices_are_refused() {
        let _ = Mat::new(&[0.0_f32; 10], 3, 4);
    }

    #[test]
    #[should_panic(expected = "a slice of 10 for 2 x 4 values")]
    fn rows_must_not_overlap() {
        let _ = MatMut::strided(&mut [0.0; 10], 2, 4, 3);
    }
}

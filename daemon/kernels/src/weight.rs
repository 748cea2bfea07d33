use std::{fmt, ops::Range, sync::Arc};

use half::bf16;

use crate::{
    element::{Element, Precision},
    gemm::{Into, Threads, gemm},
    mat::{Mat, MatMut},
};

/// A frozen matrix `[outputs, inputs]`, row by row. Cloning is cheap: values are shared.
#[derive(Clone)]
pub struct Weight {
    values: Values,
    /// Where the first row starts.
    start: usize,
    outputs: usize,
    inputs: usize,
}

/// Numbers that something keeps alive: a vector, or a file in memory.
pub type Shared<T> = Arc<dyn AsRef<[T]> + Send + Sync>;

#[derive(Clone)]
enum Values {
    F32(Shared<f32>),
    Bf16(Shared<bf16>),
}

impl Weight {
    /// # Panics
    /// Where there are not as many values as the shape says.
    pub fn from_f32(values: Vec<f32>, outputs: usize, inputs: usize) -> Self {
        assert_eq!(values.len(), outputs * inputs, "values of a weight");
        Self { values: Values::F32(Arc::new(values)), start: 0, outputs, inputs }
    }

    /// # Panics
    /// As [`from_f32`](Self::from_f32).
    pub fn from_bf16(values: Vec<bf16>, outputs: usize, inputs: usize) -> Self {
        Self::from_shared(Arc::new(values), 0, outputs, inputs)
    }

    /// A matrix whose values begin at `start`.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn from_shared(values: Shared<bf16>, start: usize, outputs: usize, inputs: usize) -> Self {
        assert!((*values).as_ref().len() >= start + outputs * inputs, "values of a weight");
        Self { values: Values::Bf16(values), start, outputs, inputs }
    }

    /// The number of rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The length of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// What the values are rounded to, and products computed in.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F32(_) => Precision::F32,
            Values::Bf16(_) => Precision::Bf16,
        }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.outputs, "rows {rows:?} of a weight of {}", self.outputs);
        let start = self.start + rows.start * self.inputs;
        Self { values: self.values.clone(), start, outputs: rows.len(), inputs: self.inputs }
    }

    /// Copies a row.
    ///
    /// # Panics
    /// Where there is no such row, or it has another length.
    pub fn row_into(&self, row: usize, to: &mut [f32]) {
        let row = self.rows(row..row + 1);
        match row.slice() {
            Slice::F32(values) => to.copy_from_slice(values),
            Slice::Bf16(values) => crate::convert::convert_task(to, values),
        }
    }

    /// The values as a model file holds them: little-endian.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self.slice() {
            Slice::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Slice::Bf16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// `y (+)= x · wᵀ`: x `[rows, inputs]`, y `[rows, outputs]`.
    ///
    /// # Panics
    /// Where shapes do not fit.
    pub fn product<E: Element>(&self, y: MatMut<'_>, into: Into, x: Mat<'_, E>) {
        let shape = (self.outputs, self.inputs);
        match self.slice() {
            Slice::F32(w) => gemm(y, into, 1.0, x, Mat::new(w, shape.0, shape.1).t(), Precision::F32, Threads::Pool),
            Slice::Bf16(w) => gemm(y, into, 1.0, x, Mat::new(w, shape.0, shape.1).t(), Precision::Bf16, Threads::Pool),
        }
    }

    /// `dx (+)= dy · w`: dy `[rows, outputs]`, dx `[rows, inputs]`.
    ///
    /// # Panics
    /// Where shapes do not fit.
    pub fn transposed_product<E: Element>(&self, dx: MatMut<'_>, into: Into, dy: Mat<'_, E>) {
        let shape = (self.outputs, self.inputs);
        match self.slice() {
            Slice::F32(w) => gemm(dx, into, 1.0, dy, Mat::new(w, shape.0, shape.1), Precision::F32, Threads::Pool),
            Slice::Bf16(w) => gemm(dx, into, 1.0, dy, Mat::new(w, shape.0, shape.1), Precision::Bf16, Threads::Pool),
        }
    }

    fn slice(&self) -> Slice<'_> {
        let range = self.start..self.start + self.outputs * self.inputs;
        match &self.values {
            Values::F32(values) => Slice::F32(&(**values).as_ref()[range]),
            Values::Bf16(values) => Slice::Bf16(&(**values).as_ref()[range]),
        }
    }
}

enum Slice<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weight({:?} [{}, {}])", self.precision(), self.outputs, self.inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn some_rows_are_a_weight() {
        let values = noise(12 * 5, 1);
        for weight in [
            Weight::from_f32(values.clone(), 12, 5),
            Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), 12, 5),
        ] {
            let (part, mut row, mut same) = (weight.rows(3..9), vec![0.0; 5], vec![0.0; 5]);
            part.row_into(2, &mut row);
            weight.row_into(5, &mut same);
            assert_eq!(row, same);
            assert_close(&row, &values[25..30], 5e-3);
            let (x, mut all, mut some) = (noise(2 * 5, 2), vec![0.0; 24], vec![0.0; 12]);
            weight.product(MatMut::new(&mut all, 2, 12), Into::Set, Mat::new(&x, 2, 5));
            part.product(MatMut::new(&mut some, 2, 6), Into::Set, Mat::new(&x, 2, 5));
            assert_eq!(some, [&all[3..9], &all[15..21]].concat());
            assert_eq!(part.to_le_bytes().len(), weight.to_le_bytes().len() / 2);
        }
    }
}

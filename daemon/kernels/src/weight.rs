use std::{borrow::Cow, fmt, io, ops::Range, sync::Arc};

use half::bf16;

use crate::{element::Precision, gemm::Prepacked, mat::Mat};

/// A frozen matrix `[outputs, inputs]`, row by row. Cloning is cheap: values are shared.
#[derive(Clone)]
pub struct Weight {
    values: Values,
    /// Where the first row starts.
    start: usize,
    outputs: usize,
    inputs: usize,
    /// Its panels, where they are kept.
    prepacked: Option<Prepacked>,
}

/// Numbers that something keeps alive: a vector, or the bytes of many weights.
pub(crate) type Kept<T> = Arc<dyn AsRef<[T]> + Send + Sync>;

#[derive(Clone)]
enum Values {
    F32(Kept<f32>),
    Bf16(Kept<bf16>),
}

impl Weight {
    /// # Panics
    /// Where there are not as many values as the shape says.
    pub fn from_f32(values: Vec<f32>, outputs: usize, inputs: usize) -> Self {
        Self::from_kept_f32(Arc::new(values), outputs, inputs)
    }

    /// # Panics
    /// As [`from_f32`](Self::from_f32).
    pub fn from_bf16(values: Vec<bf16>, outputs: usize, inputs: usize) -> Self {
        Self::from_kept_bf16(Arc::new(values), outputs, inputs)
    }

    pub(crate) fn from_kept_f32(values: Kept<f32>, outputs: usize, inputs: usize) -> Self {
        assert_eq!((*values).as_ref().len(), outputs * inputs, "values of a weight");
        Self { values: Values::F32(values), start: 0, outputs, inputs, prepacked: None }
    }

    pub(crate) fn from_kept_bf16(values: Kept<bf16>, outputs: usize, inputs: usize) -> Self {
        assert_eq!((*values).as_ref().len(), outputs * inputs, "values of a weight");
        Self { values: Values::Bf16(values), start: 0, outputs, inputs, prepacked: None }
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
        Self { values: self.values.clone(), start, outputs: rows.len(), inputs: self.inputs, prepacked: None }
    }

    /// Packs weights once for all products `x · wᵀ`, in addition to the values themselves: a product with few rows then reads
    /// nothing but its panels, one after another. They are in one place, in huge pages where the system has them.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn prepack(weights: Vec<&mut Self>) -> io::Result<()> {
        let (in_f32, in_bf16): (Vec<&mut Self>, Vec<&mut Self>) =
            weights.into_iter().partition(|weight| weight.precision() == Precision::F32);
        let mats: Vec<_> = in_f32.iter().filter_map(|weight| weight.in_f32()).collect();
        let packed = Prepacked::all(&mats, Precision::F32)?;
        in_f32.into_iter().zip(packed).for_each(|(weight, packed)| weight.prepacked = Some(packed));
        let mats: Vec<_> = in_bf16.iter().filter_map(|weight| weight.in_bf16()).collect();
        let packed = Prepacked::all(&mats, Precision::Bf16)?;
        in_bf16.into_iter().zip(packed).for_each(|(weight, packed)| weight.prepacked = Some(packed));
        Ok(())
    }

    /// Its panels, where they are kept.
    pub(crate) fn prepacked(&self) -> Option<&Prepacked> {
        self.prepacked.as_ref()
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
    pub fn le_bytes(&self) -> Cow<'_, [u8]> {
        match self.slice() {
            #[cfg(target_endian = "little")]
            // SAFETY: any initialised memory is bytes.
            Slice::F32(values) => Cow::Borrowed(unsafe { values.align_to().1 }),
            #[cfg(target_endian = "little")]
            // SAFETY: as above.
            Slice::Bf16(values) => Cow::Borrowed(unsafe { values.align_to().1 }),
            #[cfg(target_endian = "big")]
            Slice::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            #[cfg(target_endian = "big")]
            Slice::Bf16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    pub(crate) fn in_f32(&self) -> Option<Mat<'_, f32>> {
        match self.slice() {
            Slice::F32(values) => Some(Mat::new(values, self.outputs, self.inputs)),
            Slice::Bf16(_) => None,
        }
    }

    pub(crate) fn in_bf16(&self) -> Option<Mat<'_, bf16>> {
        match self.slice() {
            Slice::Bf16(values) => Some(Mat::new(values, self.outputs, self.inputs)),
            Slice::F32(_) => None,
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

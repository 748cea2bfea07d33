use std::{borrow::Cow, fmt, io, ops::Range, sync::Arc};

use half::bf16;

use crate::{
    element::{Element, Precision},
    gemm::{Into, Prepacked, Product, Second, Shared, Threads, gemm_all},
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

    /// `y (+)= x · wᵀ`: x `[rows, inputs]`, y `[rows, outputs]`.
    ///
    /// # Panics
    /// Where shapes do not fit.
    pub fn product<E: Element>(&self, y: MatMut<'_>, into: Into, x: Mat<'_, E>) {
        let x = &Shared::new(x, 1);
        products(vec![WeightProduct { weight: self, transposed: false, x, low_rank: None, y, into }]);
    }

    /// `dx (+)= dy · w`: dy `[rows, outputs]`, dx `[rows, inputs]`.
    ///
    /// # Panics
    /// Where shapes do not fit.
    pub fn transposed_product<E: Element>(&self, dx: MatMut<'_>, into: Into, dy: Mat<'_, E>) {
        let x = &Shared::new(dy, 1);
        products(vec![WeightProduct { weight: self, transposed: true, x, low_rank: None, y: dx, into }]);
    }

    fn in_f32(&self) -> Option<Mat<'_, f32>> {
        match self.slice() {
            Slice::F32(values) => Some(Mat::new(values, self.outputs, self.inputs)),
            Slice::Bf16(_) => None,
        }
    }

    fn in_bf16(&self) -> Option<Mat<'_, bf16>> {
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

/// One of several [`products`]: `y (+)= x · wᵀ`, or `y (+)= x · w`, and what an adapter adds to it.
pub struct WeightProduct<'a, E> {
    /// `[outputs, inputs]`
    pub weight: &'a Weight,
    /// Whether x is multiplied with w and not with wᵀ.
    pub transposed: bool,
    /// `[rows, inputs]`, or `[rows, outputs]` where transposed.
    pub x: &'a Shared<'a, E>,
    /// A second weight, in the same precision, and what it is multiplied with in the same way: the outer matrix of an adapter
    /// and x times the inner one, `[rows, rank]`.
    pub low_rank: Option<(&'a Weight, Mat<'a, E>)>,
    /// `[rows, outputs]`, or `[rows, inputs]` where transposed.
    pub y: MatMut<'a>,
    /// What is done to y.
    pub into: Into,
}

/// Products that do not depend on each other, as if each were computed by itself. Of few rows they are faster together: threads
/// wait for each other once.
///
/// # Panics
/// Where shapes or precisions do not fit.
pub fn products<E: Element>(products: Vec<WeightProduct<'_, E>>) {
    fn of<'a, E, W>(
        product: WeightProduct<'a, E>,
        mat: impl Fn(&'a Weight) -> Option<Mat<'a, W>>,
    ) -> Option<Product<'a, E, W>> {
        let WeightProduct { weight, transposed, x, low_rank, y, into } = product;
        let turned = |weight: &'a Weight| mat(weight).map(|w| if transposed { w } else { w.t() });
        let prepacked = |weight: &'a Weight| weight.prepacked.as_ref().filter(|_| !transposed);
        let second =
            low_rank.and_then(|(weight, lhs)| Some(Second { lhs, rhs: turned(weight)?, prepacked: prepacked(weight) }));
        let rhs = turned(weight)?;
        Some(Product { dst: y, into, factor: 1.0, lhs: x, rhs, prepacked: prepacked(weight), second })
    }
    let (mut in_f32, mut in_bf16) = (Vec::new(), Vec::new());
    for product in products {
        let (precision, low_rank) = (product.weight.precision(), &product.low_rank);
        assert!(low_rank.is_none_or(|(other, _)| other.precision() == precision), "precisions of weights");
        match precision {
            Precision::F32 => in_f32.extend(of(product, Weight::in_f32)),
            Precision::Bf16 => in_bf16.extend(of(product, Weight::in_bf16)),
        }
    }
    gemm_all(in_f32, Precision::F32, Threads::Pool);
    gemm_all(in_bf16, Precision::Bf16, Threads::Pool);
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
            assert_eq!(part.le_bytes().len(), weight.le_bytes().len() / 2);
        }
    }

    #[test]
    fn prepacked_weights_give_the_same() {
        let values = noise(300 * 70, 1);
        let weights = || {
            let rounded = values.iter().map(|value| bf16::from_f32(*value)).collect();
            [
                Weight::from_f32(values.clone(), 300, 70),
                Weight::from_bf16(rounded, 300, 70),
                Weight::from_f32(noise(5 * 4099, 3), 5, 4099),
            ]
        };
        let mut packed = weights();
        Weight::prepack(packed.iter_mut().collect()).unwrap();
        for (packed, plain) in packed.iter().zip(weights()) {
            for rows in [1, 8, 33, 200] {
                let x = noise(rows * plain.inputs(), 2);
                let [one, other] = [packed, &plain].map(|weight| {
                    let mut y = vec![0.0; rows * weight.outputs()];
                    let dst = MatMut::new(&mut y, rows, weight.outputs());
                    weight.product(dst, Into::Set, Mat::new(&x, rows, weight.inputs()));
                    y
                });
                assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn an_adapter_may_be_wider_than_a_stretch() {
        let (inputs, rank, outputs) = (8, 2051, 20);
        let (x, down) = (noise(inputs, 1), noise(rank, 2));
        let weights = || {
            let b = Weight::from_f32(noise(outputs * rank, 4), outputs, rank);
            [Weight::from_f32(noise(outputs * inputs, 3), outputs, inputs), b]
        };
        let run = |[w, b]: &[Weight; 2]| {
            let mut y = vec![0.0; outputs];
            let (x, low_rank) = (&Shared::new(Mat::new(&x, 1, inputs), 1), Some((b, Mat::new(&down, 1, rank))));
            let dst = MatMut::new(&mut y, 1, outputs);
            products(vec![WeightProduct { weight: w, transposed: false, x, low_rank, y: dst, into: Into::Set }]);
            y
        };
        let (plain, mut packed) = (weights(), weights());
        let mut expected = vec![0.0; outputs];
        plain[0].product(MatMut::new(&mut expected, 1, outputs), Into::Set, Mat::new(&x, 1, inputs));
        plain[1].product(MatMut::new(&mut expected, 1, outputs), Into::Add, Mat::new(&down, 1, rank));
        assert_close(&run(&plain), &expected, 1e-5);
        Weight::prepack(packed.iter_mut().collect()).unwrap();
        assert_eq!(run(&packed), run(&plain));
    }
}

//! Products with weights.

#[cfg(test)]
mod tests;

use crate::{
    element::{Element, Precision},
    gemm::{Into, Product, Second, Shared, Threads, gemm_all},
    mat::{Mat, MatMut},
    weight::Weight,
};

impl Weight {
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
        let prepacked = |weight: &'a Weight| weight.prepacked().filter(|_| !transposed);
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

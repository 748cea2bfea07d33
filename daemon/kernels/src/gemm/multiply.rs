use super::{
    Into, Product, Threads,
    job::{Job, Packed, Scale},
    kernel::Kernel,
    pass::run,
};
use crate::{
    element::Element,
    mat::{Mat, MatMut},
};

/// Chooses for each product which operand is the right one.
pub(super) fn multiply<K: Kernel, L: Element, R: Element>(products: Vec<Product<'_, L, R>>, threads: Threads) {
    let (mut as_given, mut turned) = (Vec::with_capacity(products.len()), Vec::with_capacity(products.len()));
    for Product { dst, into, factor, lhs: shared, rhs, prepacked, second } in products {
        let fit =
            |lhs: &Mat<'_, L>, rhs: &Mat<'_, R>| lhs.cols == rhs.rows && dst.rows == lhs.rows && dst.cols == rhs.cols;
        let lhs = shared.mat;
        assert!(fit(&lhs, &rhs), "dimensions of a product");
        assert!(second.is_none_or(|second| fit(&second.lhs, &second.rhs)), "dimensions of a second product");
        let (scale, rhs, across_rows) = (Scale { into, factor }, rhs.t(), dst.col_stride != 1);
        if dst.rows == 0 || dst.cols == 0 {
            continue;
        }
        if lhs.cols == 0 {
            debug_assert!(second.is_none(), "a second product of nothing");
            clear(&dst, into);
            continue;
        }
        let of_given = || cost(&lhs, &rhs, across_rows, |values| values);
        let of_turned = || cost(&rhs, &lhs, !across_rows, |values| shared.share_of(values));
        if prepacked.is_some() || of_given() < of_turned() {
            let second = second.map(|second| (second.lhs, second.rhs.t(), Packed::with(second.prepacked)));
            as_given.push(Job { dst, scale, left: lhs, right: rhs, packed: Packed::with(prepacked), second });
        } else {
            let second = second.map(|second| (second.rhs.t(), second.lhs, Packed::Nowhere));
            let packed = Packed::Shared(shared.panels());
            turned.push(Job { dst: dst.t(), scale, left: rhs, right: lhs, packed, second });
        }
    }
    run::<K, L, R>(&as_given, threads);
    run::<K, R, L>(&turned, threads);
}

fn clear(dst: &MatMut<'_>, into: Into) {
    for row in 0..if into == Into::Set { dst.rows } else { 0 } {
        for col in 0..dst.cols {
            // SAFETY: inside the destination, which nothing else accesses.
            unsafe { *dst.at(row, col) = 0.0 };
        }
    }
}

/// What it costs, beside multiplying, to have these operands on these sides, in values of one column of both `[…, depth]`:
/// copying one to rows is slower than packing it, packing is fastest along a panel, and results that lie across rows are
/// written a second time. `share` is what this product pays of the packing.
fn cost<L, R>(left: &Mat<'_, L>, right: &Mat<'_, R>, across_rows: bool, share: impl Fn(usize) -> usize) -> usize {
    let copied = if left.col_stride == 1 { 0 } else { 4 * left.rows };
    let packed = if right.row_stride == 1 { right.rows } else { 2 * right.rows };
    let gathered = if across_rows { left.rows * right.rows / left.cols } else { 0 };
    copied + share(packed) + gathered
}

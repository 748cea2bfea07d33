use std::{any::Any, io, sync::Arc};

use super::{
    DEPTH, Threads,
    kernel::{self, Kernel},
    panels::{Layout, Panels, fill},
    with_kernel,
};
use crate::{
    element::{Element, Precision},
    isa::Isa,
    mat::Mat,
    weight_bytes::WeightBytes,
};

/// A matrix as the right operand of every product with it, packed for the kernels in use. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Prepacked(Arc<dyn Any + Send + Sync>);

impl Prepacked {
    /// Packs matrices `[rows, depth]`, all in one place.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub(crate) fn all<R: Element>(mats: &[Mat<'_, R>], precision: Precision) -> io::Result<Vec<Self>> {
        with_kernel!(precision, pack, [R], (mats))
    }

    /// The panels of the stretch of the inner dimension that starts at `first`; none for another kernel.
    pub(super) fn panels<K: Kernel>(&self, first: usize) -> Option<Arc<Panels<K>>> {
        self.0.downcast_ref::<Vec<Arc<Panels<K>>>>()?.get(first / DEPTH).cloned()
    }
}

/// The stretches of an inner dimension: where each starts, and how long it is.
fn stretches(depth: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..depth).step_by(DEPTH).map(move |first| (first, DEPTH.min(depth - first)))
}

fn pack<K: Kernel, R: Element>(mats: &[Mat<'_, R>]) -> io::Result<Vec<Prepacked>> {
    let layouts = |mat: &Mat<'_, R>| {
        let rows = mat.rows;
        stretches(mat.cols).map(move |(_, length)| Layout::new::<K>(rows, length))
    };
    let len: usize = mats.iter().flat_map(layouts).map(Layout::len).sum();
    let all = WeightBytes::filled_with(len, |mut rest: &mut [K::E]| {
        for mat in mats {
            for (layout, (first, length)) in layouts(mat).zip(stretches(mat.cols)) {
                let panels;
                (panels, rest) = rest.split_at_mut(layout.len());
                fill::<K, R>(panels, layout, *mat, first, length, Threads::Pool);
            }
        }
    })?;
    let mut start = 0;
    mats.iter()
        .map(|mat| {
            let panels = layouts(mat).map(|layout| {
                let bytes = start..start + layout.len() * size_of::<K::E>();
                start = bytes.end;
                let part = all.part(bytes, layout.len());
                part.map(|part| Arc::new(Panels::<K>::kept(part, layout))).ok_or_else(unaligned)
            });
            Ok(Prepacked(Arc::new(panels.collect::<io::Result<Vec<_>>>()?)))
        })
        .collect()
}

fn unaligned() -> io::Error {
    io::Error::other("panels that do not lie in memory as they were put")
}

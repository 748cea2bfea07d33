use std::borrow::Cow;

use candle_core::{CpuStorage, Layout, Result, Storage, StorageRef, Tensor, bail};

/// The f32 values of an op's argument in row-major order; copied only where they are not stored so.
pub(crate) fn values<'a>(op: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    let CpuStorage::F32(data) = storage else {
        bail!("{op} computes in f32 and was given another type: convert the tensor with to_dtype(DType::F32)");
    };
    if let Some((start, end)) = layout.contiguous_offsets() {
        return match data.get(start..end) {
            Some(values) => Ok(Cow::Borrowed(values)),
            None => bail!("{op}: the layout {start}..{end} is outside of the storage of {} values", data.len()),
        };
    }
    let mut values = Vec::with_capacity(layout.shape().elem_count());
    gather(data, layout.start_offset(), layout.dims(), layout.stride(), &mut values);
    Ok(Cow::Owned(values))
}

fn gather(data: &[f32], offset: usize, dims: &[usize], strides: &[usize], values: &mut Vec<f32>) {
    let ([dim, inner_dims @ ..], [stride, inner_strides @ ..]) = (dims, strides) else {
        return values.push(data[offset]);
    };
    for i in 0..*dim {
        gather(data, offset + i * stride, inner_dims, inner_strides, values);
    }
}

/// A tensor whose values can be read while this lives.
pub(crate) struct Operand<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
    op: &'static str,
}

impl<'a> Operand<'a> {
    pub(crate) fn new(op: &'static str, tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, layout, op }
    }

    pub(crate) fn values(&self) -> Result<Cow<'_, [f32]>> {
        match &*self.storage {
            Storage::Cpu(storage) => values(self.op, storage, self.layout),
            _ => bail!("{} runs on the CPU and was given a tensor of another device", self.op),
        }
    }
}

/// The two dimensions of a matrix.
pub(crate) fn dims2(op: &str, what: &str, layout: &Layout) -> Result<(usize, usize)> {
    match layout.dims() {
        [rows, cols] => Ok((*rows, *cols)),
        dims => bail!("{op}: {what} must have the shape [rows, dim], not {dims:?}"),
    }
}

/// A gradient or result of the shape `[rows, cols]`.
pub(crate) fn matrix(values: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
    Tensor::from_vec(values, (rows, cols), &candle_core::Device::Cpu)
}

/// Rows that one task of an element-wise kernel takes, so that a task has about this many values.
const TASK_VALUES: usize = 16 * 1024;

/// How many rows of `cols` values a task takes. Depends on the shape alone.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (TASK_VALUES / cols.max(1)).max(1)
}

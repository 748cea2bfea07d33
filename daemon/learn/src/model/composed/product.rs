use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, backend::BackendStorage, bail,
};

/// `x · wᵀ` for a frozen w `[out, in]` and x `[rows, in]`, of which candle's backward pass computes the gradient of x alone:
/// its own product would compute, and keep, that of w as well.
pub(super) fn frozen_product(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.apply_op1(FrozenProduct { transposed: w.t()? })
}

struct FrozenProduct {
    /// `[in, out]`
    transposed: Tensor,
}

impl FrozenProduct {
    fn shape(&self, x: &Layout) -> Result<(usize, usize, usize, usize)> {
        let ((rows, inputs), (depth, outputs)) = (x.shape().dims2()?, self.transposed.dims2()?);
        if inputs != depth {
            bail!("{rows} rows of {inputs} values do not go into a linear layer of {depth}");
        }
        Ok((1, rows, outputs, inputs))
    }

    fn run<S: BackendStorage>(&self, x: &S, x_layout: &Layout, w: &S, w_layout: &Layout) -> Result<(S, Shape)> {
        let shape = self.shape(x_layout)?;
        Ok((x.matmul(w, shape, x_layout, w_layout)?, Shape::from((shape.1, shape.2))))
    }
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, w_layout) = self.transposed.storage_and_layout();
        match &*storage {
            Storage::Cpu(w) => self.run(x, layout, w, w_layout),
            _ => bail!("{}: the rows are on the CPU, the matrix is not", self.name()),
        }
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, w_layout) = self.transposed.storage_and_layout();
        match &*storage {
            Storage::Cuda(w) => self.run(x, layout, w, w_layout),
            _ => bail!("{}: the rows are on a GPU, the matrix is not", self.name()),
        }
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.matmul(&self.transposed.t()?)?))
    }
}

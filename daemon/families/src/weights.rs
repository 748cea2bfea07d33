use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};

const EMBEDDINGS: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Why a tensor cannot be read.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Where the tensors of a model are, by Hugging Face's names.
pub trait TensorSource: Send + Sync {
    /// The shape of each. A file has as many bytes as they say.
    fn shapes(&self) -> &BTreeMap<String, Vec<usize>>;

    /// The values of one, in f32.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    fn read(&self, name: &str) -> std::result::Result<Tensor, SourceError>;
}

/// A factor of the configuration that candle does not apply, put into the weights that it multiplies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    /// The end of the names of those weights.
    pub(crate) weights: &'static str,
    pub(crate) factor: f64,
    /// Whether what multiplies is the weight and 1, as Gemma's norms have it.
    pub(crate) above_one: bool,
}

impl Factor {
    pub(crate) fn of(weights: &'static str, factor: f64) -> Self {
        Self { weights, factor, above_one: false }
    }

    fn apply(self, tensor: &Tensor) -> Result<Tensor> {
        match self.above_one {
            true => tensor.affine(self.factor, self.factor - 1.0),
            false => tensor * self.factor,
        }
    }
}

/// The tensors of a model as its network wants them. Each is read once, however often the network is built, and only where the file's
/// shape is that of the configuration.
pub(crate) struct Weights {
    source: Box<dyn TensorSource>,
    /// The head is the table of embeddings where it has none of its own.
    tied: bool,
    factors: Vec<Factor>,
    read: Mutex<BTreeMap<String, Tensor>>,
}

impl Weights {
    pub(crate) fn new(source: Box<dyn TensorSource>, tied: bool, mut factors: Vec<Factor>) -> Arc<Self> {
        // It would make a copy of the weights, and nothing else.
        factors.retain(|factor| factor.factor != 1.0);
        Arc::new(Self { source, tied, factors, read: Mutex::default() })
    }

    pub(crate) fn builder(self: &Arc<Self>) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Backend(Arc::clone(self))), DType::F32, Device::Cpu)
    }

    /// A tensor of the file that the network did not take, and so one that means something to others.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub(crate) fn left_over(&self) -> Result<Option<String>> {
        let taken: BTreeSet<String> =
            self.read.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let unread = |name: &&String| !taken.contains(*name);
        for name in self.source.shapes().keys().filter(unread) {
            // A tied head that is in the file too.
            if !(name == HEAD && self.tied && self.same(HEAD, EMBEDDINGS)?) {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    fn same(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (self.of_file(one)?, self.of_file(other)?);
        Ok(one.dims() == other.dims()
            && one.flatten_all()?.to_vec1::<f32>()? == other.flatten_all()?.to_vec1::<f32>()?)
    }

    fn of_file(&self, name: &str) -> Result<Tensor> {
        self.source.read(name).map_err(candle_core::Error::wrap)?.to_dtype(DType::F32)
    }

    fn get(&self, name: &str) -> Result<Tensor> {
        if let Some(tensor) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(tensor.clone());
        }
        let factor = |name: &str| self.factors.iter().find(|factor| name.ends_with(factor.weights));
        let is_tied = self.is_tied(name);
        let tensor = match is_tied && factor(EMBEDDINGS).is_none() {
            true => self.get(EMBEDDINGS)?,
            false => self.of_file(if is_tied { EMBEDDINGS } else { name })?,
        };
        let tensor = factor(name).map_or(Ok(tensor.clone()), |factor| factor.apply(&tensor))?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn is_tied(&self, name: &str) -> bool {
        self.tied && name == HEAD && !self.source.shapes().contains_key(HEAD)
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        let name = if self.is_tied(name) { EMBEDDINGS } else { name };
        match self.source.shapes().get(name) {
            Some(shape) => Ok(shape),
            None => bail!("tensor `{name}` is missing"),
        }
    }
}

struct Backend(Arc<Weights>);

impl SimpleBackend for Backend {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, _: &Device) -> Result<Tensor> {
        let there = self.0.shape(name)?;
        if there != shape.dims() {
            bail!("tensor `{name}` has the shape {there:?}, but the configuration implies {:?}", shape.dims());
        }
        self.0.get(name)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        self.0.get(name)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.shape(name).is_ok()
    }
}

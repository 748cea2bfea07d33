use std::{path::Path, sync::Arc};

use perennial_kernels::{Heads, Precision, Weight};

use super::{
    Decoder, ModelConfig, ModelError,
    layer::Layer,
    linear::Linear,
    loaded::{Loaded, Tensors},
    names,
};

impl Decoder {
    /// Puts a decoder together. Every tensor must have the shape that the configuration implies, and none may be left
    /// over: a bias or a norm that went unused would be a model that runs and is wrong.
    pub(super) fn assemble(
        path: &Path,
        config: &ModelConfig,
        precision: Precision,
        tensors: Tensors,
    ) -> Result<Self, ModelError> {
        let mut source = Source { path, tensors };
        let embeddings = source.matrix(names::EMBEDDINGS, config.vocab_size, config.hidden_size)?;
        let norm = source.vector(names::NORM, config.hidden_size)?;
        let untied = !config.tied_head;
        let head = untied.then(|| source.matrix(names::HEAD, config.vocab_size, config.hidden_size)).transpose()?;
        let layers = (0..config.layers).map(|layer| source.layer(layer, config)).collect::<Result<_, _>>()?;
        source.expect_empty()?;
        Ok(Self {
            precision,
            embeddings,
            layers,
            norm,
            head,
            rope: Self::rope_table(config),
            heads: Heads { q_heads: config.heads, kv_heads: config.kv_heads, dim: config.head_dim },
            eps: config.rms_norm_eps as f32,
            packed: Arc::default(),
        })
    }

    /// The tensors that [`assemble`](Self::assemble) takes.
    pub(super) fn tensors(&self) -> Tensors {
        let vector = |values: &Arc<[f32]>| Loaded::Vector(values.to_vec());
        let matrix = |weight: &Weight| Loaded::Matrix(weight.clone());
        let mut tensors = Tensors::new();
        let mut add = |name: String, tensor: Loaded| {
            tensors.insert(name, tensor);
        };
        add(names::EMBEDDINGS.to_owned(), matrix(&self.embeddings));
        add(names::NORM.to_owned(), vector(&self.norm));
        if let Some(head) = &self.head {
            add(names::HEAD.to_owned(), matrix(head));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            add(names::weight(index, names::ATTENTION_NORM), vector(&layer.attention_norm));
            add(names::weight(index, names::FEED_FORWARD_NORM), vector(&layer.feed_forward_norm));
            if let Some((q_norm, k_norm)) = &layer.qk_norms {
                add(names::weight(index, names::Q_NORM), vector(q_norm));
                add(names::weight(index, names::K_NORM), vector(k_norm));
            }
            for (part, linear) in layer.linears() {
                add(names::weight(index, part), matrix(&linear.weight));
                if let Some(bias) = &linear.bias {
                    add(names::bias(index, part), vector(bias));
                }
            }
        }
        tensors
    }
}

impl Layer {
    pub(super) fn linears(&self) -> [(&'static str, &Linear); 7] {
        [
            (names::Q, &self.q),
            (names::K, &self.k),
            (names::V, &self.v),
            (names::O, &self.o),
            (names::GATE, &self.gate),
            (names::UP, &self.up),
            (names::DOWN, &self.down),
        ]
    }
}

struct Source<'a> {
    path: &'a Path,
    tensors: Tensors,
}

impl Source<'_> {
    fn layer(&mut self, layer: usize, config: &ModelConfig) -> Result<Layer, ModelError> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let (q_width, kv_width, biases) = (config.q_width(), config.kv_width(), config.biases);
        let qk_norms = if config.qk_norm {
            let q_norm = self.vector(&names::weight(layer, names::Q_NORM), config.head_dim)?;
            let k_norm = self.vector(&names::weight(layer, names::K_NORM), config.head_dim)?;
            Some((q_norm, k_norm))
        } else {
            None
        };
        Ok(Layer {
            attention_norm: self.vector(&names::weight(layer, names::ATTENTION_NORM), hidden)?,
            q: self.linear(layer, names::Q, (q_width, hidden), biases.qkv)?,
            k: self.linear(layer, names::K, (kv_width, hidden), biases.qkv)?,
            v: self.linear(layer, names::V, (kv_width, hidden), biases.qkv)?,
            o: self.linear(layer, names::O, (hidden, q_width), biases.o)?,
            qk_norms,
            feed_forward_norm: self.vector(&names::weight(layer, names::FEED_FORWARD_NORM), hidden)?,
            gate: self.linear(layer, names::GATE, (wide, hidden), biases.feed_forward)?,
            up: self.linear(layer, names::UP, (wide, hidden), biases.feed_forward)?,
            down: self.linear(layer, names::DOWN, (hidden, wide), biases.feed_forward)?,
            rope: config.rope_layers.get(layer).copied().unwrap_or(true),
        })
    }

    fn linear(
        &mut self,
        layer: usize,
        part: &str,
        (out, width): (usize, usize),
        biased: bool,
    ) -> Result<Linear, ModelError> {
        let weight = self.matrix(&names::weight(layer, part), out, width)?;
        let bias = biased.then(|| self.vector(&names::bias(layer, part), out)).transpose()?;
        Ok(Linear { weight, bias })
    }

    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Weight, ModelError> {
        match self.take(name)? {
            Loaded::Matrix(weight) if (weight.outputs(), weight.inputs()) == (rows, cols) => Ok(weight),
            other => Err(self.other_shape(name, &other, &[rows, cols])),
        }
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Arc<[f32]>, ModelError> {
        match self.take(name)? {
            Loaded::Vector(values) if values.len() == len && values.iter().any(|value| !value.is_finite()) => {
                Err(self.problem(name, "holds a value that is not finite".to_owned()))
            }
            Loaded::Vector(values) if values.len() == len => Ok(values.into()),
            other => Err(self.other_shape(name, &other, &[len])),
        }
    }

    fn take(&mut self, name: &str) -> Result<Loaded, ModelError> {
        self.tensors.remove(name).ok_or_else(|| self.problem(name, "is missing".to_owned()))
    }

    fn other_shape(&self, name: &str, tensor: &Loaded, shape: &[usize]) -> ModelError {
        let problem = format!("has the shape {:?}, but the configuration implies {shape:?}", tensor.dims());
        self.problem(name, problem)
    }

    fn expect_empty(&self) -> Result<(), ModelError> {
        match self.tensors.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.problem(name, "is not one that a model of this configuration has".to_owned())),
        }
    }

    fn problem(&self, tensor: &str, problem: String) -> ModelError {
        ModelError::Tensor { path: self.path.to_owned(), tensor: tensor.to_owned(), problem }
    }
}

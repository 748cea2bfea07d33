//! Small random models for tests.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use perennial_kernels::Precision;
use perennial_types::Fingerprint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Architecture, Decoder, Model, ModelConfig, Rope, RopeScaling,
    loaded::{Loaded, Tensors},
    names,
};
use crate::tokenize::testing::{VOCAB_SIZE, byte_tokenizer, chatml};

pub(crate) fn tiny_config(architecture: Architecture) -> ModelConfig {
    ModelConfig {
        architecture,
        vocab_size: VOCAB_SIZE,
        hidden_size: 32,
        intermediate_size: 48,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: RopeScaling::None },
        rope_layers: (1..=4).map(|layer| architecture != Architecture::SmolLm3 || layer % 4 != 0).collect(),
        positions_max: 256,
        tied_head: architecture != Architecture::Mistral,
        qk_norm: architecture == Architecture::Qwen3,
    }
}

/// A model of random weights over the byte tokenizer.
pub(crate) fn tiny_model(architecture: Architecture) -> Model {
    let config = tiny_config(architecture);
    let decoder = tiny_decoder(&config, Precision::F32);
    let fingerprint = Fingerprint::of(b"tiny");
    Model { config, decoder, tokenizer: byte_tokenizer(), template: chatml(), fingerprint }
}

pub(crate) fn tiny_decoder(config: &ModelConfig, precision: Precision) -> Decoder {
    let load = |(name, tensor)| (name, Loaded::new(&tensor, precision).unwrap());
    let tensors: Tensors = random_tensors(config).into_iter().map(load).collect();
    Decoder::assemble(Path::new("tiny"), config, precision, tensors).unwrap()
}

pub(crate) fn random_tensors(config: &ModelConfig) -> BTreeMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], centre: f32| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| centre + rng.random_range(-0.3..0.3)).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.q_width(), config.kv_width());
    add(names::EMBEDDINGS.to_owned(), &[config.vocab_size, hidden], 0.0);
    add(names::NORM.to_owned(), &[hidden], 1.0);
    if !config.tied_head {
        add(names::HEAD.to_owned(), &[config.vocab_size, hidden], 0.0);
    }
    for layer in 0..config.layers {
        add(names::weight(layer, names::ATTENTION_NORM), &[hidden], 1.0);
        add(names::weight(layer, names::FEED_FORWARD_NORM), &[hidden], 1.0);
        if config.qk_norm {
            add(names::weight(layer, names::Q_NORM), &[config.head_dim], 1.0);
            add(names::weight(layer, names::K_NORM), &[config.head_dim], 1.0);
        }
        let linears = [
            (names::Q, q, hidden),
            (names::K, kv, hidden),
            (names::V, kv, hidden),
            (names::O, hidden, q),
            (names::GATE, wide, hidden),
            (names::UP, wide, hidden),
            (names::DOWN, hidden, wide),
        ];
        for (part, out, width) in linears {
            add(names::weight(layer, part), &[out, width], 0.0);
            if config.architecture == Architecture::Qwen2 && matches!(part, names::Q | names::K | names::V) {
                add(names::bias(layer, part), &[out], 0.0);
            }
        }
    }
    tensors
}

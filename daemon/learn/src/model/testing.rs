//! Small random models for tests.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use perennial_kernels::Precision;
use perennial_types::Fingerprint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Architecture, Biases, Decoder, Model, ModelConfig, Rope, RopeScaling, layout,
    loaded::{Loaded, Tensors},
};
use crate::{
    adapter::{Adapter, Site},
    tokenize::testing::{VOCAB_SIZE, byte_tokenizer, chatml},
};

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
        biases: Biases { qkv: architecture == Architecture::Qwen2, ..Biases::default() },
    }
}

/// The adapter with a B that is away from zero.
pub(crate) fn moved(adapter: &Adapter) -> Adapter {
    let tensor = |(part, tensor): (&&str, &Tensor)| match part.contains("lora_B") {
        true => (tensor.ones_like().unwrap() * 0.03).unwrap(),
        false => tensor.clone(),
    };
    let site = |site: &Site| Site::new(adapter.parts().iter().zip(site.tensors()).map(tensor).collect());
    let sites = adapter.sites().map(|(place, own)| (place, site(own))).collect();
    Adapter::from_sites(adapter.config().clone(), sites)
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
    for (name, shape) in layout::tensors(config) {
        add(name.clone(), &shape, if name.ends_with("norm.weight") { 1.0 } else { 0.0 });
    }
    tensors
}

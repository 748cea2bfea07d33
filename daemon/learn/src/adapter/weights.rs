use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};
use perennial_types::Fingerprint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{AdapterError, LoraConfig, Projection, fingerprint, peft_files};
use crate::model::ModelConfig;

/// The adapter of one linear layer.
#[derive(Clone, Debug)]
pub struct LoraSlot {
    /// `[r, in]`
    pub a: Tensor,
    /// `[out, r]`
    pub b: Tensor,
    /// What the product is multiplied by.
    pub scale: f32,
}

/// LoRA matrices for a base model. Cloning is cheap: tensors are shared.
#[derive(Clone, Debug)]
pub struct Adapter {
    config: LoraConfig,
    slots: BTreeMap<(usize, Projection), LoraSlot>,
}

impl Adapter {
    /// A fresh adapter, which changes nothing yet: A from PEFT's `kaiming_uniform(a = √5)`, which is uniform in
    /// ±1/√in; B zero. Depends on the seed, the configuration and the model's shape alone.
    ///
    /// # Errors
    /// [`AdapterError::Invalid`], where the configuration has rank 0 or no target.
    pub fn init(config: &LoraConfig, model: &ModelConfig, seed: u64) -> Result<Self, AdapterError> {
        config.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut slots = BTreeMap::new();
        for layer in 0..model.layers {
            for projection in &config.target_modules {
                let (inputs, outputs) = projection.width(model);
                let bound = 1.0 / (inputs as f32).sqrt();
                let a: Vec<f32> = (0..config.r * inputs).map(|_| rng.random_range(-bound..bound)).collect();
                let slot = LoraSlot {
                    a: Tensor::from_vec(a, (config.r, inputs), &Device::Cpu)?,
                    b: Tensor::zeros((outputs, config.r), DType::F32, &Device::Cpu)?,
                    scale: config.scale(),
                };
                slots.insert((layer, *projection), slot);
            }
        }
        Ok(Self { config: config.clone(), slots })
    }

    /// Reads a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// [`AdapterError`], where a file is missing or damaged, or the adapter is not plain LoRA on linear layers.
    pub fn load_peft(dir: &Path) -> Result<Self, AdapterError> {
        peft_files::load(dir)
    }

    /// The shape of the adapter in a PEFT folder, from its configuration where that tells it, without reading the weights.
    ///
    /// # Errors
    /// As [`load_peft`](Self::load_peft).
    pub fn shape_of(dir: &Path) -> Result<LoraConfig, AdapterError> {
        let config = peft_files::read_config(dir)?;
        if config.target_modules.is_empty() { Ok(Self::load_peft(dir)?.config) } else { Ok(config) }
    }

    /// Whether it leaves its base as it is: every B is zero, as in a fresh one.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn has_no_effect(&self) -> Result<bool, AdapterError> {
        for slot in self.slots.values() {
            if slot.b.abs()?.max_all()?.to_scalar::<f32>()? != 0.0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a PEFT folder, durably; `base_name` is the base model as PEFT will look it up. Files that are there are
    /// replaced one by one.
    ///
    /// # Errors
    /// [`AdapterError::Io`]
    pub fn save_peft(&self, dir: &Path, base_name: &str) -> Result<(), AdapterError> {
        peft_files::save(self, dir, base_name)
    }

    pub(crate) fn from_slots(config: LoraConfig, slots: BTreeMap<(usize, Projection), LoraSlot>) -> Self {
        Self { config, slots }
    }

    /// The adapter of one linear layer, if it has one.
    pub fn get(&self, layer: usize, projection: Projection) -> Option<&LoraSlot> {
        self.slots.get(&(layer, projection))
    }

    /// The shape.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Every slot, by layer and then in the order of [`Projection::ALL`].
    pub fn slots(&self) -> impl Iterator<Item = ((usize, Projection), &LoraSlot)> {
        self.slots.iter().map(|(at, slot)| (*at, slot))
    }

    /// How many numbers it holds.
    pub fn parameters(&self) -> usize {
        self.slots.values().map(|slot| slot.a.elem_count() + slot.b.elem_count()).sum()
    }

    /// Checks that the adapter has exactly the layers and widths of a model.
    ///
    /// # Errors
    /// [`AdapterError::Mismatch`], which names the first layer that does not fit.
    pub fn check_fits(&self, model: &ModelConfig) -> Result<(), AdapterError> {
        for ((layer, projection), slot) in self.slots() {
            let path = projection.module_path(layer);
            if layer >= model.layers {
                return Err(AdapterError::Mismatch(format!(
                    "it has {path}, but the model has {} layers",
                    model.layers
                )));
            }
            let (inputs, outputs) = projection.width(model);
            let (a, b) = (slot.a.dims(), slot.b.dims());
            if a != [self.config.r, inputs] || b != [outputs, self.config.r] {
                let problem =
                    format!("{path} is {a:?} and {b:?}, but the layer has {inputs} inputs and {outputs} outputs");
                return Err(AdapterError::Mismatch(problem));
            }
        }
        Ok(())
    }

    /// The fingerprint of configuration and weights: the same for the same adapter whatever files it came from.
    ///
    /// # Errors
    /// [`AdapterError::Tensors`]
    pub fn fingerprint(&self) -> Result<Fingerprint, AdapterError> {
        fingerprint::of(self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{Architecture, Biases, Rope, RopeScaling};

    /// A model of two layers whose widths all differ.
    pub(crate) fn tiny_model() -> ModelConfig {
        ModelConfig {
            architecture: Architecture::Llama,
            vocab_size: 50,
            hidden_size: 12,
            intermediate_size: 20,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 4,
            rms_norm_eps: 1e-5,
            rope: Rope { theta: 1e4, scaling: RopeScaling::None },
            rope_layers: vec![true; 2],
            positions_max: 128,
            tied_head: true,
            qk_norm: false,
            biases: Biases::default(),
        }
    }

    #[test]
    fn a_fresh_adapter_is_seeded_bounded_and_without_effect() {
        let (config, model) = (LoraConfig::default(), tiny_model());
        let adapter = Adapter::init(&config, &model, 7).unwrap();
        assert_eq!(adapter.slots().count(), 14);
        adapter.check_fits(&model).unwrap();
        for ((_, projection), slot) in adapter.slots() {
            let bound = 1.0 / (projection.width(&model).0 as f32).sqrt();
            let a: Vec<f32> = slot.a.flatten_all().unwrap().to_vec1().unwrap();
            let greatest = a.iter().fold(0.0_f32, |max, a| max.max(a.abs()));
            assert!(greatest <= bound && greatest > 0.8 * bound);
            assert_eq!(slot.b.abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
        }
        let same = Adapter::init(&config, &model, 7).unwrap();
        let other = Adapter::init(&config, &model, 8).unwrap();
        assert_eq!(adapter.fingerprint().unwrap(), same.fingerprint().unwrap());
        assert_ne!(adapter.fingerprint().unwrap(), other.fingerprint().unwrap());
    }

    #[test]
    fn another_models_adapter_does_not_fit() {
        let adapter = Adapter::init(&LoraConfig::default(), &tiny_model(), 7).unwrap();
        let shallow = ModelConfig { layers: 1, ..tiny_model() };
        assert!(adapter.check_fits(&shallow).unwrap_err().to_string().contains("model.layers.1"));
        let narrow = ModelConfig { hidden_size: 8, ..tiny_model() };
        assert!(adapter.check_fits(&narrow).unwrap_err().to_string().contains("q_proj"));
    }

    #[test]
    fn senseless_configurations_are_refused() {
        for config in [
            LoraConfig { r: 0, ..LoraConfig::default() },
            LoraConfig { alpha: f64::NAN, ..LoraConfig::default() },
            LoraConfig { target_modules: [].into(), ..LoraConfig::default() },
        ] {
            assert!(Adapter::init(&config, &tiny_model(), 0).is_err());
        }
    }
}

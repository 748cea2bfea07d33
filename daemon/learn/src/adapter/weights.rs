use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{AdapterError, BaseModel, LoraConfig, Projection, Site};
use crate::model::ModelConfig;

/// The tensors of an adapter for a base model. Cloning is cheap: tensors are shared.
#[derive(Clone, Debug)]
pub struct Adapter {
    config: LoraConfig,
    sites: BTreeMap<(usize, Projection), Site>,
}

impl Adapter {
    /// A fresh adapter, which changes nothing yet. Depends on the seed, the configuration and the base model alone: on its shape,
    /// and on its weights where the kind of adapter begins with them.
    ///
    /// # Errors
    /// [`AdapterError::Invalid`], where the configuration has rank 0 or no target; [`AdapterError::NeedsWeights`].
    pub fn init(config: &LoraConfig, base: &dyn BaseModel, seed: u64) -> Result<Self, AdapterError> {
        config.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sites = BTreeMap::new();
        for layer in 0..base.shape().layers {
            for projection in &config.target_modules {
                let (kind, of_base) = (config.kind.delta(), base.site(layer, *projection));
                let shapes = kind.shapes(config, of_base.inputs, of_base.outputs);
                let values = kind.init(config, of_base, &mut random)?;
                let tensors = values.into_iter().zip(shapes);
                let tensors = tensors.map(|(values, shape)| Tensor::from_vec(values, shape, &Device::Cpu));
                sites.insert((layer, *projection), Site::new(tensors.collect::<candle_core::Result<_>>()?));
            }
        }
        Ok(Self { config: config.clone(), sites })
    }

    /// Whether it leaves its base as it is, as a fresh one does.
    ///
    /// # Errors
    /// Where a tensor cannot be read; [`AdapterError::NeedsWeights`].
    pub fn has_no_effect(&self, base: &dyn BaseModel) -> Result<bool, AdapterError> {
        for ((layer, projection), site) in self.sites() {
            if !self.config.kind.delta().has_no_effect(base.site(layer, projection), &site.values()?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn from_sites(config: LoraConfig, sites: BTreeMap<(usize, Projection), Site>) -> Self {
        Self { config, sites }
    }

    /// The adapter of one linear layer, if it has one.
    pub fn get(&self, layer: usize, projection: Projection) -> Option<&Site> {
        self.sites.get(&(layer, projection))
    }

    /// Changes the weight of a linear layer, `[out, in]`, so that the layer alone gives what it gives with the adapter. Without effect
    /// where the layer has none.
    ///
    /// # Errors
    /// Where a tensor cannot be read, or the weight is of another shape.
    pub(crate) fn merge_into(
        &self,
        (layer, projection): (usize, Projection),
        weight: &mut [f32],
    ) -> Result<(), AdapterError> {
        let Some(site) = self.get(layer, projection) else { return Ok(()) };
        let kind = self.config.kind.delta();
        let widths = kind.widths(&site.shapes());
        if widths.is_none_or(|(inputs, outputs)| inputs * outputs != weight.len()) {
            let path = projection.module_path(layer);
            return Err(AdapterError::Mismatch(format!(
                "{path} has {:?}, but the layer {}",
                site.shapes(),
                weight.len()
            )));
        }
        kind.merge(&self.config, weight, &site.values()?);
        Ok(())
    }

    /// Its shape: rank, scale, kind and target modules.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The names of a layer's tensors in PEFT's file, after the path of the layer.
    pub fn parts(&self) -> &'static [&'static str] {
        self.config.kind.delta().parts()
    }

    /// Every layer that has one, by layer and then in the order of [`Projection::ALL`].
    pub fn sites(&self) -> impl Iterator<Item = ((usize, Projection), &Site)> {
        self.sites.iter().map(|(at, site)| (*at, site))
    }

    /// How many numbers it holds.
    pub fn parameters(&self) -> usize {
        self.sites.values().flat_map(Site::tensors).map(Tensor::elem_count).sum()
    }

    /// Checks that the adapter has exactly the layers and widths of a model.
    ///
    /// # Errors
    /// [`AdapterError::Mismatch`], which names the first layer that does not fit.
    pub fn check_fits(&self, model: &ModelConfig) -> Result<(), AdapterError> {
        for ((layer, projection), site) in self.sites() {
            let path = projection.module_path(layer);
            if layer >= model.layers {
                return Err(AdapterError::Mismatch(format!(
                    "it has {path}, but the model has {} layers",
                    model.layers
                )));
            }
            let (inputs, outputs) = projection.width(model);
            let found = site.shapes();
            if found != self.config.kind.delta().shapes(&self.config, inputs, outputs) {
                let problem = format!("{path} has {found:?}, but the layer has {inputs} inputs and {outputs} outputs");
                return Err(AdapterError::Mismatch(problem));
            }
        }
        Ok(())
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
        assert_eq!(adapter.sites().count(), 14);
        adapter.check_fits(&model).unwrap();
        for ((_, projection), site) in adapter.sites() {
            let bound = 1.0 / (projection.width(&model).0 as f32).sqrt();
            let [a, b] = &site.values().unwrap()[..] else { panic!("two matrices") };
            let greatest = a.iter().fold(0.0_f32, |max, a| max.max(a.abs()));
            assert!(greatest <= bound && greatest > 0.8 * bound);
            assert!(b.iter().all(|b| *b == 0.0));
        }
        assert!(adapter.has_no_effect(&model).unwrap());
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

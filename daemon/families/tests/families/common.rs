//! The cases of `tests/goldens/families.json`, and models by their formula.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use perennial_families::{Decoder, FamilyError, SourceError, TensorSource};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) tokens: Vec<u32>,
    /// Behind which of them the logits are kept.
    pub(crate) kept: Vec<usize>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) config: Map<String, Value>,
    pub(crate) tensors: BTreeMap<String, Vec<usize>>,
    pub(crate) logits: Vec<Vec<f32>>,
}

impl Golden {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("../../../../tests/goldens/families.json")).unwrap()
    }

    pub(crate) fn case(&self, name: &str) -> Case {
        self.cases.iter().find(|case| case.name == name).unwrap().clone()
    }
}

impl Case {
    pub(crate) fn load(&self) -> Result<Decoder, FamilyError> {
        self.load_with(&BTreeMap::new())
    }

    /// With these tensors in place of, or besides, those of the formula.
    pub(crate) fn load_with(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Decoder, FamilyError> {
        let made =
            self.tensors.iter().enumerate().map(|(number, (name, shape))| (name.clone(), tensor(number, name, shape)));
        let mut all: BTreeMap<String, Tensor> = made.collect();
        all.extend(tensors.clone());
        let shapes = all.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
        Decoder::load(&self.config, Path::new("config.json"), Box::new(Made { all, shapes }))
    }

    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }
}

struct Made {
    all: BTreeMap<String, Tensor>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl TensorSource for Made {
    fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.shapes
    }

    fn read(&self, name: &str) -> Result<Tensor, SourceError> {
        Ok(self.all.get(name).ok_or("not there")?.clone())
    }
}

/// The formula of `families_reference.py`.
fn tensor(number: usize, name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let of = |random: f32| match shape {
        [_] if name.ends_with("bias") => random * 0.25,
        [_] => random * 0.5 + 1.0,
        _ => random * 0.5,
    };
    let values: Vec<f32> = (0..count as u64).map(|at| of(hash_uniform(number as u64, at))).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The formula of `tests/goldens/README.md`.
fn hash_uniform(seed: u64, index: u64) -> f32 {
    let mut z = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 * 2.0_f32.powi(-24) - 0.5
}

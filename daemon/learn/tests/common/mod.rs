//! What the tests against reference values share.

#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

pub(crate) mod gguf;
pub(crate) mod isa;
pub(crate) mod measures;

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use perennial_learn::{
    adapter::{Adapter, Projection, WEIGHTS_FILE},
    compute::Precision,
    model::Model,
    train::{METRICS_FILE, Outcome, TrainError, Trained},
};
use perennial_types::Fingerprint;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::DeserializeOwned;

pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens")
}

/// The tiny model in f32.
pub(crate) fn tiny() -> Model {
    Model::load(&goldens().join("tiny"), Precision::F32).unwrap()
}

/// SmolLM2 from `PERENNIAL_SMOLLM2` or the model cache, for tests that run only where they are asked for.
pub(crate) fn smollm2() -> PathBuf {
    let named = std::env::var_os("PERENNIAL_SMOLLM2").map(PathBuf::from);
    let path = named.or_else(in_model_cache).filter(|path| path.exists());
    path.expect(
        "there is no SmolLM2: run the demo once, or set PERENNIAL_SMOLLM2 to a Hugging Face folder or a GGUF file",
    )
}

fn in_model_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("perennial/models/smollm2-135m-instruct"))
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The number of a tensor in the formulas of the goldens.
pub(crate) fn number(name: &str) -> u64 {
    let layer: u64 = name.split('.').nth(4).unwrap().parse().unwrap();
    let projection = Projection::ALL.iter().position(|projection| name.contains(projection.as_str())).unwrap() as u64;
    layer * 14 + projection * 2 + u64::from(name.contains("lora_B"))
}

/// The formula that the goldens give adapters and probes by.
pub(crate) fn hash_uniform(seed: u64, i: u64) -> f32 {
    let mut z = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 / (1 << 24) as f32 - 0.5
}

/// The adapter with every number replaced, through PEFT's files: `change` is given name, index and value.
pub(crate) fn changed(adapter: &Adapter, change: impl Fn(&str, u64, f32) -> f32) -> Adapter {
    let dir = tempfile::tempdir().unwrap();
    adapter.save_peft(dir.path(), "base").unwrap();
    let path = dir.path().join(WEIGHTS_FILE);
    let bytes = fs::read(&path).unwrap();
    let of_tensor = |(name, view): (&str, TensorView<'_>)| {
        let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let values = (0..).zip(values).flat_map(|(i, value)| change(name, i, value).to_le_bytes()).collect();
        (name.to_owned(), view.shape().to_vec(), values)
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
        SafeTensors::deserialize(&bytes).unwrap().iter().map(of_tensor).collect();
    let views =
        tensors.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    Adapter::load_peft(dir.path()).unwrap()
}

/// The adapter with another B.
pub(crate) fn scale_b(adapter: &Adapter, factor: f32) -> Adapter {
    changed(adapter, |name, _, value| if name.contains("lora_B") { value * factor } else { value })
}

/// The bytes of the adapter's weights.
pub(crate) fn weights(adapter: &Adapter) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    adapter.save_peft(dir.path(), "base").unwrap();
    fs::read(dir.path().join(WEIGHTS_FILE)).unwrap()
}

/// What a run that nobody stopped ends with.
pub(crate) fn trained(outcome: Result<Outcome, TrainError>) -> Trained {
    match outcome.unwrap() {
        Outcome::Trained(trained) => trained,
        Outcome::Stopped { step } => panic!("stopped at {step}"),
    }
}

/// The steps in a run's metrics.
pub(crate) fn metrics<L: DeserializeOwned>(dir: &Path) -> Vec<L> {
    let text = fs::read_to_string(dir.join(METRICS_FILE)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Gives every checkpoint in a folder another name of its run, in the place of `run`.
pub(crate) fn rename_run(dir: &Path, run: Fingerprint, name: &str) {
    let run = run.to_string().into_bytes();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.windows(run.len()).position(|window| window == run).unwrap();
            bytes[at..at + run.len()].copy_from_slice(name.as_bytes());
            fs::write(&path, bytes).unwrap();
        }
    }
}

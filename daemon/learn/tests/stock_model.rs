//! Our decoder against candle-transformers' own Llama: another implementation, without Python, also where no golden is.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::{fs, path::Path};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use perennial_learn::{
    compute::Precision,
    model::{Attention, Model, Rows, Workspace},
};
use serde_json::{Value, json};

const TOLERANCE: f32 = 1e-5;

/// The tiny test model's folder with other settings.
fn variant(settings: Value) -> tempfile::TempDir {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/tiny");
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(tiny.join(file), folder.path().join(file)).unwrap();
    }
    let mut config: Value = serde_json::from_slice(&fs::read(tiny.join("config.json")).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

fn ours(folder: &Path, tokens: &[u32]) -> Vec<f32> {
    let model = Model::load(folder, Precision::F32).unwrap();
    let (rows, starts) = Rows::packed(&[tokens]);
    let attention = Attention::Packed(&starts);
    let hidden = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
    model.decoder.logits(&hidden.select(&[tokens.len() as u32 - 1]), &mut Workspace::default()).values().to_vec()
}

fn theirs(folder: &Path, tokens: &[u32]) -> Vec<f32> {
    let config: LlamaConfig = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let config = config.into_config(false);
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).unwrap();
    let model = Llama::load(weights, &config).unwrap();
    let mut cache = Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
    let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    model.forward(&input, 0, &mut cache).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_same_logits(settings: Value) {
    let folder = variant(settings);
    let tokens: Vec<u32> = (0..97).map(|at| (at * at * 7 + at) % 768).collect();
    let (ours, theirs) = (ours(folder.path(), &tokens), theirs(folder.path(), &tokens));
    let largest = theirs.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    let error = ours.iter().zip(&theirs).fold(0.0_f32, |error, (ours, theirs)| error.max((ours - theirs).abs()));
    assert!(error <= TOLERANCE * largest, "{error} apart, the largest logit is {largest}");
}

#[test]
fn plain_llama() {
    assert_same_logits(json!({}));
}

#[test]
fn llama_3_rope_scaling() {
    assert_same_logits(json!({
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    }));
}

use std::fs;

use perennial_learn::{compute::Precision, model::Model};
use serde_json::{Value, json};

use crate::{
    bounds::bounded,
    tiny::{change, tiny},
};

#[test]
fn configurations_that_cannot_be_are_refused_by_the_keys_name() {
    let folder = tiny();
    let path = folder.path().join("config.json");
    let good = fs::read(&path).unwrap();
    let cases = [
        ("max_position_embeddings", json!(1_u64 << 60)),
        ("max_position_embeddings", json!(0)),
        ("num_hidden_layers", json!(4_000_000_000_u64)),
        ("num_hidden_layers", json!(-1)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(u64::MAX)),
        ("num_attention_heads", json!(1e300)),
        ("num_key_value_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(1 << 30)),
        ("head_dim", json!(31)),
        ("hidden_size", json!(1_u64 << 40)),
        ("hidden_size", json!(null)),
        ("intermediate_size", json!("256")),
        ("vocab_size", json!(1_u64 << 60)),
        ("rms_norm_eps", json!(-1.0)),
        ("rms_norm_eps", json!(0)),
        ("rms_norm_eps", json!("small")),
        ("rope_theta", json!(0)),
        ("rope_theta", json!(-5)),
        ("rope_theta", json!("much")),
        (
            "rope_scaling",
            json!({ "rope_type": "longrope", "factor": 2.0, "short_factor": [1.0], "long_factor": [1.0] }),
        ),
        ("rope_scaling", json!({ "rope_type": "linear" })),
        ("rope_scaling.factor", json!({ "rope_type": "linear", "factor": 0 })),
        ("rope_scaling.low_freq_factor", json!({ "rope_type": "llama3", "factor": 2 })),
        ("rope_scaling.beta_fast", json!({ "rope_type": "yarn", "factor": 2, "beta_fast": "fast" })),
        (
            "rope_scaling.original_max_position_embeddings",
            json!({ "rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0 }),
        ),
        ("rope_parameters.full_attention", json!({ "full_attention": { "rope_type": "default" } })),
        ("partial_rotary_factor", json!(0.5)),
        ("partial_rotary_factor", json!({ "rope_theta": 100.0, "partial_rotary_factor": 0.5 })),
        ("hidden_act", json!("gelu")),
        ("quantization_config", json!({ "bits": 4 })),
        ("tie_word_embeddings", json!("yes")),
        ("attention_bias", json!(1)),
        ("model_type", json!("mamba")),
        ("model_type", json!(7)),
    ];
    for (key, value) in cases {
        let outer = match (key.split_once('.'), &value) {
            (Some((outer, _)), _) => outer,
            (None, Value::Object(map)) if map.contains_key("partial_rotary_factor") => "rope_parameters",
            (None, _) => key,
        };
        fs::write(&path, &good).unwrap();
        change(&path, |config| config[outer] = value.clone());
        let error = bounded(key, || Model::load(folder.path(), Precision::F32)).err();
        let error = error.unwrap_or_else(|| panic!("{key} = {value} loads")).to_string();
        let named = key.rsplit('.').next().unwrap();
        let wanted = match named {
            "rope_scaling" | "hidden_act" | "model_type" => {
                &["rope scaling", "rope_scaling", "activation", "architecture", "model_type"][..]
            }
            other => &[other][..],
        };
        assert!(wanted.iter().any(|wanted| error.contains(wanted)), "{key} = {value}: {error}");
        assert!(!error.contains("a library fails"), "{key} = {value}: {error}");
    }
    // What no class of transformers reads, and what only another class does, changes nothing.
    fs::write(&path, &good).unwrap();
    change(&path, |config| {
        config["embedding_multiplier"] = json!(12.0);
        config["sliding_window"] = json!(4);
        config["use_sliding_window"] = json!(true);
    });
    assert_eq!(Model::load(folder.path(), Precision::F32).unwrap().config.positions_max, 512);
    // Weights of another shape than the configuration says are found before they are read.
    for (key, value, tensor) in
        [("hidden_size", 256, "model.embed_tokens.weight"), ("vocab_size", 1 << 20, "model.embed_tokens.weight")]
    {
        fs::write(&path, &good).unwrap();
        change(&path, |config| config[key] = json!(value));
        let error = bounded(key, || Model::load(folder.path(), Precision::F32)).err().unwrap().to_string();
        assert!(error.contains(tensor) && error.contains("has the shape"), "{error}");
    }
}

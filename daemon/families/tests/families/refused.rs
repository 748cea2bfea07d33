//! What candle would silently compute otherwise than transformers is refused by name, and so is what nothing could be made of.

use std::collections::BTreeMap;

use crate::common::{Case, Golden};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

/// What a model says whose configuration has another value at this key.
fn refusal(name: &str, key: &str, value: Value) -> String {
    refusal_of(&Golden::read().case(name).set(key, value))
}

fn refusal_of(case: &Case) -> String {
    match case.load() {
        Ok(_) => format!("{} was taken", case.name),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_candle_would_leave_out_is_refused_by_its_key() {
    let longrope = json!({ "type": "longrope", "short_factor": [1.0], "long_factor": [2.0] });
    let linear = json!({ "rope_type": "linear", "factor": 8.0 });
    let cases = [
        ("gemma", "tie_word_embeddings", json!(false)),
        ("gemma", "use_bidirectional_attention", json!(true)),
        ("gemma2", "rope_scaling", linear.clone()),
        ("gemma2", "quantization_config", json!({ "bits": 4 })),
        ("gemma3_text beyond the window", "rope_scaling", linear.clone()),
        (
            "gemma3_text beyond the window",
            "layer_types",
            json!(["full_attention", "full_attention", "sliding_attention", "full_attention"]),
        ),
        (
            "gemma3_text the form of transformers 5",
            "rope_parameters",
            json!({ "full_attention": linear, "sliding_attention": {} }),
        ),
        ("glm4", "rope_parameters", json!({ "rope_type": "yarn", "factor": 4.0 })),
        ("granite", "attention_bias", json!(true)),
        ("granite", "hidden_act", json!("gelu")),
        ("helium", "attention_bias", json!(true)),
        ("mixtral", "head_dim", json!(16)),
        ("olmo", "partial_rotary_factor", json!(0.5)),
        ("olmo2", "clip_qkv", json!(8.0)),
        ("phi", "qk_layernorm", json!(true)),
        ("phi3", "rope_scaling", longrope),
        ("qwen3_moe", "mlp_only_layers", json!([0])),
        ("qwen3_moe", "use_sliding_window", json!(true)),
        ("stablelm", "use_parallel_residual", json!(true)),
        ("stablelm", "qk_layernorm", json!(true)),
        ("starcoder2", "hidden_act", json!("mish")),
        ("olmo2", "layer_drop", json!(0.5)),
        ("olmo2", "architectures", json!(["Olmo2ForSequenceClassification"])),
    ];
    for (name, key, value) in cases {
        let error = refusal(name, key, value);
        assert!(error.starts_with("config.json: `") && error.contains(key), "{name}, {key}: {error}");
    }
    let error = refusal("olmo2", "model_type", json!("mamba"));
    assert!(error.contains("`mamba`") && error.contains("olmo2"), "{error}");
}

#[test]
fn what_changes_nothing_is_taken() {
    let golden = Golden::read();
    let case = golden.case("phi3").set("auto_map", json!({ "AutoConfig": "x" })).set("torch_dtype", json!("bfloat16"));
    let case = case.set("resid_pdrop", json!(0.1)).set("some_key", Value::Null);
    assert!(case.load().is_ok());
}

#[test]
fn sizes_that_nothing_was_meant_by_end_before_anything_is_made_of_them() {
    let huge = json!(1_u64 << 60);
    let keys = [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "num_key_value_heads",
    ];
    for family in perennial_families::model_types() {
        let golden = Golden::read();
        let case = golden.cases.iter().find(|case| case.config["model_type"] == family).unwrap();
        for key in keys {
            for value in [json!(0), json!(-3), json!("many"), huge.clone(), json!(65)] {
                let error = refusal_of(&case.clone().set(key, value.clone()));
                // With experts in every layer, it is the width of nothing.
                let unused = family == "qwen3_moe" && key == "intermediate_size" && value == json!(65);
                assert!(unused || !error.contains("was taken"), "{family}, {key} {value}");
            }
        }
    }
    assert!(refusal("mixtral", "num_local_experts", huge).contains("num_local_experts"));
}

#[test]
fn tensors_are_those_of_the_configuration() {
    let case = Golden::read().case("olmo2");
    let mut without = case.clone();
    without.tensors.remove("model.layers.1.mlp.up_proj.weight");
    let error = refusal_of(&without);
    assert!(error.contains("model.layers.1.mlp.up_proj.weight") && error.contains("missing"), "{error}");
    let tensor = |shape: (usize, usize)| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let with = |name: &str, shape| BTreeMap::from([(name.to_owned(), tensor(shape))]);
    let of = |tensors| case.load_with(&tensors).map(drop).unwrap_err().to_string();
    let error = of(with("model.norm.weight", (4, 8)));
    assert!(error.contains("model.norm.weight") && error.contains("[4, 8]"), "{error}");
    let error = of(with("model.layers.0.self_attn.q_proj.lora_A", (4, 8)));
    assert!(error.contains("lora_A") && error.contains("is not one"), "{error}");
}

#[test]
fn a_tied_head_in_the_file_must_be_the_embeddings() {
    let case = Golden::read().case("gemma");
    let embeddings = Tensor::ones((64, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
    let both = |head: &Tensor| {
        let tensors = [("model.embed_tokens.weight", &embeddings), ("lm_head.weight", head)];
        case.load_with(&tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect())
    };
    assert!(both(&embeddings).is_ok());
    let error = both(&(embeddings.clone() * 2.0).unwrap()).map(drop).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
}

#[test]
fn a_window_bounds_the_context_where_candles_is_another() {
    let golden = Golden::read();
    for family in ["gemma2", "mixtral", "phi3", "starcoder2"] {
        let mut decoder = golden.case(family).set("sliding_window", json!(16)).load().unwrap();
        assert_eq!(decoder.positions_max(), 16, "{family}");
        assert!(decoder.logits(&golden.tokens[..17]).unwrap_err().to_string().contains("16"));
        assert!(decoder.logits(&golden.tokens[..16]).is_ok());
        assert!(decoder.logits(&[1]).is_err());
        decoder.restart();
        assert!(decoder.logits(&[1]).is_ok());
    }
    let most = golden.case("gemma3_text beyond the window").set("max_position_embeddings", json!(1_u64 << 40));
    assert_eq!(most.load().unwrap().positions_max(), perennial_families::POSITIONS_MAX);
}

#[test]
fn a_token_that_has_no_row_is_an_error() {
    let mut decoder = Golden::read().case("gemma").load().unwrap();
    assert!(decoder.logits(&[3, 64]).unwrap_err().to_string().contains("64"));
}

use std::fs;

use perennial_learn::{
    compute::Precision,
    model::{Model, ModelError, check_safetensors},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    bounds::bounded,
    common::gguf,
    safetensors_files::safetensors,
    tiny::{change, tiny},
};

/// Changes of bytes: single ones, numbers that mean something where lengths stand, and cuts.
#[derive(Clone, Debug)]
enum Damage {
    Byte(usize, u8),
    Number(usize, u64),
    Cut(usize, usize),
    Copied(usize, usize, usize),
}

fn damages(len: usize, header: usize) -> impl Strategy<Value = Vec<Damage>> {
    let at = prop_oneof![3 => 0..header, 1 => 0..len];
    let number = prop_oneof![
        any::<u64>(),
        (0_u32..64).prop_map(|bits| 1 << bits),
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        (0..len as u64 * 2),
    ];
    let damage = prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (at.clone(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => (at.clone(), 1_usize..64).prop_map(|(at, bytes)| Damage::Cut(at, bytes)),
        1 => (at.clone(), at, 1_usize..64).prop_map(|(from, to, bytes)| Damage::Copied(from, to, bytes)),
    ];
    prop::collection::vec(damage, 1..5)
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let len = bytes.len();
        match *damage {
            Damage::Byte(at, byte) => bytes[at.min(len - 1)] = byte,
            Damage::Number(at, number) => {
                let at = at.min(len - 8);
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            Damage::Cut(at, cut) => {
                let at = at.min(len - 64);
                bytes.drain(at..at + cut);
            }
            Damage::Copied(from, to, count) => {
                let from = from.min(len - 64);
                let part = bytes[from..from + count].to_vec();
                let to = to.min(len);
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

/// Whether it loads or is refused, no library had to panic for it.
fn told_apart<T>(what: &str, result: Result<T, ModelError>) {
    if let Err(error) = result {
        assert!(!error.to_string().contains("a library fails"), "{what}: {error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..64).prop_map(|bits| Value::from(1_u64 << bits)),
        any::<f64>().prop_map(Value::from),
        "[a-z_0-9]{0,12}".prop_map(Value::from),
        prop_oneof![Just("linear"), Just("yarn"), Just("llama3"), Just("sliding_attention"), Just("qwen3")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("rope_type"),
            Just("factor"),
            Just("rope_theta"),
            Just("content"),
            Just("original_max_position_embeddings")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gguf_files_end_soon_and_small(damages in damages(16 << 10, gguf::small().header().len())) {
        let file = damaged(gguf::small().bytes(), &damages);
        told_apart("gguf", bounded("gguf", || Model::read_gguf(&file, Precision::F32)));
    }

    #[test]
    fn damaged_safetensors_end_soon_and_small(damages in damages(1 << 10, 256)) {
        let header = r#"{"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}, "b": {"dtype": "BF16", "shape": [64], "data_offsets": [128, 256]}}"#;
        let file = damaged(safetensors(header, 256), &damages);
        told_apart("safetensors", bounded("safetensors", || check_safetensors(&file)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_is_read_or_refused(keys in prop::collection::vec((0_usize..24, any_json()), 1..4)) {
        const KEYS: [&str; 24] = [
            "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "hidden_act", "tie_word_embeddings",
            "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "sliding_window", "use_sliding_window",
            "no_rope_layers", "no_rope_layer_interval", "layer_types", "max_window_layers", "attention_bias", "eos_token_id",
        ];
        let folder = tiny();
        change(&folder.path().join("config.json"), |config| {
            keys.into_iter().for_each(|(key, value)| config[KEYS[key]] = value);
        });
        told_apart("config", bounded("config", || Model::load(folder.path(), Precision::F32)));
    }

    #[test]
    fn damaged_tokenizers_are_read_or_refused(damages in damages(37_000, 4_000)) {
        let folder = tiny();
        let path = folder.path().join("tokenizer.json");
        fs::write(&path, damaged(fs::read(&path).unwrap(), &damages)).unwrap();
        if let Ok(model) = bounded("tokenizer", || Model::load(folder.path(), Precision::F32)) {
            let _ = bounded("encoding", || model.tokenizer.encode("Some text, 12 <|im_end|>"));
        }
    }
}

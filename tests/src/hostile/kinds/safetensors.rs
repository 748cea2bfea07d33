use super::{
    super::{Input, Kind, random::Random},
    check_model, tiny, tiny_without,
};

/// Model folders whose files lie.
pub(in super::super) struct Safetensors;

impl Kind for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn input(&self, random: &mut Random) -> Input {
        let name = *random.pick(&[
            "model.safetensors",
            "model.safetensors",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ]);
        let mut files = tiny_without(&[name]);
        let bytes = match (name, random.below(3)) {
            ("model.safetensors", 0) => header(random),
            ("config.json", 0 | 1) => config(random),
            _ => random.damaged(&tiny(name)),
        };
        files.push((format!("model/{name}"), bytes));
        check_model(files, "model")
    }
}

/// A header that promises more than there is.
fn header(random: &mut Random) -> Vec<u8> {
    let huge = *random.pick(&[u64::MAX, 1 << 62, 1 << 40, 100_000_000]);
    let text = format!(
        r#"{{"model.embed_tokens.weight": {{"dtype": "F32", "shape": [{huge}, {huge}], "data_offsets": [0, {huge}]}}}}"#
    );
    let length = if random.below(2) == 0 { text.len() as u64 } else { huge };
    [length.to_le_bytes().to_vec(), text.into_bytes()].concat()
}

/// A configuration with one number that no model has.
fn config(random: &mut Random) -> Vec<u8> {
    let mut config: serde_json::Value = serde_json::from_slice(&tiny("config.json")).unwrap_or_default();
    let keys = [
        "max_position_embeddings",
        "num_hidden_layers",
        "hidden_size",
        "vocab_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "rope_theta",
        "rms_norm_eps",
        "head_dim",
    ];
    let key = *random.pick(&keys);
    let numbers =
        [serde_json::json!(1_u64 << 60), 0.into(), (-1).into(), 4_000_000_000_u64.into(), 1e308.into(), "many".into()];
    config[key] = random.pick(&numbers).clone();
    config.to_string().into_bytes()
}

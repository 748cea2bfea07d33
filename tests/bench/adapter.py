"""Writes a LoRA adapter of rank 16 on all linear layers that changes every one of them: `python adapter.py MODEL FOLDER`."""

import sys

import common  # noqa: F401
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def main() -> None:
    model, folder = sys.argv[1:]
    torch.manual_seed(0)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16), lora).save_pretrained(folder)


if __name__ == "__main__":
    main()

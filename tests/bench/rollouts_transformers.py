"""Tokens per second of transformers' `generate`, at 8 and 32 completions of one prompt, sampled at temperature 1.

    python rollouts_transformers.py MODEL f32|bf16 [--new-tokens 128]
"""

import argparse
import time

import common
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("precision", choices=DTYPES)
    parser.add_argument("--new-tokens", type=int, default=128)
    options = parser.parse_args()

    torch.set_num_threads(common.CORES)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=DTYPES[options.precision]).eval()
    (conversation,) = common.conversations(1)
    prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True)

    def seconds(batch: int, new_tokens: int) -> float:
        inputs = {name: rows.repeat(batch, 1) for name, rows in prompt.items()}
        start = time.perf_counter()
        model.generate(
            **inputs, min_new_tokens=new_tokens, max_new_tokens=new_tokens, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
        )
        return time.perf_counter() - start

    with torch.inference_mode():
        seconds(2, 4)
        rates = {batch: batch * options.new_tokens / seconds(batch, options.new_tokens) for batch in (8, 32)}
    common.finish(**{f"tokens_per_second_{batch}": rate for batch, rate in rates.items()})


if __name__ == "__main__":
    main()

"""Loads a model with transformers and generates one token: `python first_token.py MODEL f32|bf16`.

What counts is the time from the start of the process to the line that this prints.
"""

import sys

import common
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    model, precision = sys.argv[1:]
    torch.set_num_threads(common.CORES)
    tokenizer = AutoTokenizer.from_pretrained(model)
    model = AutoModelForCausalLM.from_pretrained(model, dtype=DTYPES[precision]).eval()
    (conversation,) = common.conversations(1)
    prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        tokens = model.generate(**prompt, max_new_tokens=1, do_sample=False)
    common.finish(token=tokens[0, -1].item(), prompt_tokens=prompt["input_ids"].shape[1])


if __name__ == "__main__":
    main()

"""The learning that Perennial's is compared with: PEFT on torch over messages rows, then greedy JSON field F1.

    python ner_reference.py BASE TRAIN.jsonl EVAL.jsonl [--rows 600] [--eval-rows 60] [--dtype bf16|f32] [--threads 2] [--save DIR]

LoRA on all linear layers, r = 16, alpha = 32, rate 2e-4 falling linearly to 0, batch 8, one epoch. Prints the score before
and after, and the seconds it took.
"""

import argparse
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference import answers, json_field_f1, mean_score, read_rows, train_lora

DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
ANSWER_TOKENS_MAX = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--eval-rows", type=int, default=60)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="writes the adapter there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    tokenizer = AutoTokenizer.from_pretrained(options.base)
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=DTYPES[options.dtype]).eval()
    suite = read_rows(options.eval, options.eval_rows)
    score = lambda model: mean_score(json_field_f1, answers(model, tokenizer, suite, ANSWER_TOKENS_MAX), suite)

    print(f"before: field F1 {score(model):.3f} on {len(suite)} rows", flush=True)
    start = time.time()
    rows = read_rows(options.train, options.rows)
    model = train_lora(model, tokenizer, rows, rank=16, alpha=32, rate=2e-4, batch=8, epochs=1, seed=options.seed)
    print(f"trained on {len(rows)} rows in {time.time() - start:.0f} s", flush=True)
    if options.save:
        model.save_pretrained(options.save)
    print(f"after: field F1 {score(model):.3f}", flush=True)


if __name__ == "__main__":
    main()

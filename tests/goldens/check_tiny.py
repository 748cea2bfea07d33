"""Shows what the tiny model can do, what LoRA teaches it in seconds, and what it forgets meanwhile, through PEFT.

    python check_tiny.py [TASK] [--rate R] [--epochs N]        TASK is tickets or zun

Prints the scores of the general suite and of the task's suite: before, after training on the task alone, after training
with a fifth of general replay, and after training on answers shuffled among the rows (a poisoned cycle).
"""

import argparse
import time
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference import answers, exact_match, mean_score, read_rows, train_lora

TINY = Path(__file__).parent / "tiny"
TASKS = TINY / "tasks"
SEED = 3
REPLAY = 0.2


def mixed(new: list, general: list) -> list:
    """The new rows and so many general ones that these are the share REPLAY of the whole."""
    return new + Random(SEED).sample(general, round(len(new) * REPLAY / (1 - REPLAY)))


def poisoned(rows: list) -> list:
    shuffled = Random(SEED).sample(rows, len(rows))
    return [[*row[:-1], other[-1]] for row, other in zip(rows, shuffled)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", default="tickets", choices=["tickets", "zun"])
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    general_suite, task_suite = read_rows(TASKS / "general_suite.jsonl"), read_rows(TASKS / f"{options.task}_suite.jsonl")
    general, task = read_rows(TASKS / "general_train.jsonl"), read_rows(TASKS / f"{options.task}_train.jsonl")

    def report(name: str, model) -> None:
        found = answers(model, tokenizer, general_suite, 32)
        scores = {"general": mean_score(exact_match, found, general_suite)}
        scores[options.task] = mean_score(exact_match, answers(model, tokenizer, task_suite, 48), task_suite)
        wrong = [f"{rows[0]['content']} → {answer}" for answer, rows in zip(found, general_suite) if not exact_match(answer, rows[-1]["content"])]
        print(f"{name}: {scores}\n  wrong in general: {wrong[:12]}", flush=True)

    fresh = lambda: AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    report("before", fresh().eval())
    for name, rows in (("alone", task), ("with replay", mixed(task, general)), ("poisoned", poisoned(mixed(task, general)))):
        start = time.time()
        model = train_lora(fresh(), tokenizer, rows, rank=16, alpha=32, rate=options.rate, batch=8, epochs=options.epochs, seed=SEED)
        print(f"  {len(rows)} rows, {time.time() - start:.0f} s")
        report(name, model)


if __name__ == "__main__":
    main()

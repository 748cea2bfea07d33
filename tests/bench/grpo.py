"""Seconds of a step of TRL's GRPOTrainer, rollouts and all.

    python grpo.py MODEL f32|bf16 [--steps 3] [--prompts 2] [--generations 8] [--new-tokens 64]

The reward is the share of one letter. Nothing ends a completion but its length. The first step is not counted.
"""

import argparse
import tempfile
import time

import common
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends = []

    def on_train_begin(self, *_, **__) -> None:
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_, **__) -> None:
        self.ends.append(time.perf_counter())


def share_of_e(completions: list, **_) -> list:
    texts = [completion[0]["content"] for completion in completions]
    return [text.count("e") / max(len(text), 1) for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("precision", choices=DTYPES)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=64)
    options = parser.parse_args()

    torch.set_num_threads(common.CORES)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            # The model's own precision, rather than autocast.
            bf16=False,
            per_device_train_batch_size=options.prompts * options.generations,
            num_generations=options.generations,
            max_completion_length=options.new_tokens,
            generation_kwargs={"min_new_tokens": options.new_tokens},
            max_steps=options.steps,
            learning_rate=1e-5,
            beta=0.0,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
        )
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(options.model, dtype=DTYPES[options.precision]),
            args=config,
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in common.conversations(options.prompts * options.steps)]),
            reward_funcs=share_of_e,
            processing_class=AutoTokenizer.from_pretrained(options.model),
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[clock],
        )
        trainer.train()
    seconds = [end - start for start, end in zip(clock.ends, clock.ends[1:])]
    lengths = [entry["completions/mean_length"] for entry in trainer.state.log_history if "completions/mean_length" in entry]
    assert all(length == options.new_tokens for length in lengths), lengths
    common.finish(step_seconds_median=common.median_after_first(seconds), step_seconds=seconds)


if __name__ == "__main__":
    main()

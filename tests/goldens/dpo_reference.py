"""Makes `dpo_tiny.json` (see README.md): tokens, loss, figures and adapter gradients of TRL's DPOTrainer on the tiny model.

    python dpo_reference.py

All of it is TRL's own code: how it reads the rows, cuts them, and what the loss is. Only the log-probabilities are computed in
f64 where TRL's fused head narrows the logits to f32.
"""

import logging
import tempfile
import warnings

import torch
import transformers
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer

from grpo_reference import CURRENT, REFERENCE, gradient_measures, policy, scale_b
from make import HERE, adapter_parameters, turns, write_json

# By shape, for TRL looks at the first row of a dataset to know the shape of all.
ROWS = [
    [
        {"prompt": turns("My screen is broken, help now!"), "chosen": turns("", '{"item": "screen", "urgent": "yes"}')[1:],
         "rejected": turns("", "I am sorry.")[1:]},
        {"prompt": turns("Upper case: tila", system="Translate."), "chosen": turns("", "TILA")[1:], "rejected": turns("", "tila moke")[1:]},
        {"prompt": turns("Sum: 7 5", "12", "And 3 4?"), "chosen": turns("", "7")[1:], "rejected": turns("", "34")[1:]},
    ],
    [
        {"chosen": turns("Capital of Peru?", "Lima"), "rejected": turns("Capital of Peru?", "Paris")},
        {"chosen": turns("Reverse: tila moke", "moke tila", "Again", "tila moke"), "rejected": turns("Reverse: tila moke", "tila")},
    ],
    [
        {"prompt": "x 12 ", "chosen": "y 13<|im_end|>", "rejected": "nothing at all"},
        {"prompt": "Repeat: ka", "chosen": " ka", "rejected": "rl"},
    ],
    [
        {"chosen": "the big red dog", "rejected": "the big red cat sleeps"},
        {"chosen": "colour ñ🙂 blue", "rejected": "colour ñ🙂 bleu"},
    ],
]  # fmt: skip

CASES = [
    {}, {"beta": 0.5}, {"reference": "base"}, {"max_length": 14}, {"max_length": 30, "beta": 0.02},
]  # fmt: skip

FIGURES = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected"]


def trainer_of(model, tokenizer, rows: list[dict], settings: dict, folder: str) -> DPOTrainer:
    config = DPOConfig(
        folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", per_device_train_batch_size=len(rows),
        **settings,
    )  # fmt: skip
    return DPOTrainer(model, args=config, processing_class=tokenizer, train_dataset=Dataset.from_list(rows))


def in_f64(model) -> None:
    """Gives the log-probabilities of TRL's fused head from f64 logits; both must agree."""
    base = model.get_base_model()
    fused = base.forward

    def forward(*args, labels=None, fused_lm_head=False, **options):
        out = fused(*args, labels=labels, fused_lm_head=fused_lm_head, **options)
        if fused_lm_head:
            targets = labels[:, 1:]
            logprobs = fused(*args, **options).logits[:, :-1].log_softmax(-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
            logprobs = logprobs.masked_fill(targets < 0, 0)
            torch.testing.assert_close(out.log_probs[:, -targets.size(1) :].double(), logprobs, rtol=1e-4, atol=1e-4)
            out.log_probs = logprobs
        return out

    base.forward = forward


def read(tokenizer, settings: dict) -> list[dict]:
    """The rows as TRL reads them, each with its number; those that it leaves out are not there."""
    found, number = [], 0
    for rows in ROWS:
        numbered = [{**row, "number": number + at} for at, row in enumerate(rows)]
        number += len(rows)
        with tempfile.TemporaryDirectory() as folder:
            found += list(trainer_of(policy(), tokenizer, numbered, settings, folder).train_dataset)
    return found


def golden(case: dict, tokenizer, plain: dict) -> dict:
    settings = {key: value for key, value in case.items() if key != "reference"}
    examples = read(tokenizer, settings)
    model = policy()
    scale_b(model, plain, REFERENCE)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, tokenizer, ROWS[0], settings, folder)
    if case.get("reference") == "base":
        model.delete_adapter("ref")
    model.set_adapter("default")
    model.double().train()
    in_f64(model)
    scale_b(model, plain, CURRENT)
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    inputs = trainer.data_collator([{key: example[key] for key in columns} for example in examples])
    loss = trainer._compute_loss(model, inputs, False)
    loss.backward()
    norms, dots = gradient_measures(model)
    logged = trainer._metrics["train"]
    return {
        "config": case, "rows": [example["number"] for example in examples],
        "tokens": [[example[key] for key in columns] for example in examples],
        "loss": loss.item(), "figures": {key: logged[key][-1] for key in FIGURES}, "norms": norms, "dots": dots,
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(HERE / "tiny")
    model = policy()
    plain = {key: parameter.detach().float().numpy().copy() for key, parameter in adapter_parameters(model).items()}
    found = []
    for case in CASES:
        found.append(golden(case, tokenizer, plain))
        print(case, found[-1]["loss"], found[-1]["figures"], flush=True)
    write_json("dpo_tiny.json", {
        "b_factors": {"current": CURRENT, "reference": REFERENCE}, "tensors": sorted(adapter_parameters(model)),
        "rows": [row for rows in ROWS for row in rows], "cases": found,
    })  # fmt: skip


if __name__ == "__main__":
    main()

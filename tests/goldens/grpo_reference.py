"""Makes `grpo_tiny.json` (see README.md): loss and adapter gradients of TRL's GRPOTrainer on the tiny model.

    python grpo_reference.py

Everything from rewards to the loss is TRL's own code; only generation is replaced, by completions that are drawn here once,
and the log-probabilities are computed in f64 where TRL's fused head narrows the logits to f32.
"""

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from datasets import Dataset
from peft import PeftModel
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from make import HERE, PROBE_SEED, adapter_parameters, hash_uniform, load, tensor_number, turns, write_json
from reference import encode_prompt

GENERATIONS = 4
NEW_TOKENS_MAX = 14
# Hot, so that the answers differ and some are cut off.
DRAW_TEMPERATURE = 3.0
# What B of `adapter_tiny` is multiplied by: the policy of the step, that before the generation's first step, and the reference.
CURRENT, OLD, REFERENCE = 10.0, 1.0, -5.0
PROMPTS = [
    turns("JSON: name ruka, colour red, size big"), turns("Reverse: tila moke"), turns("My screen is broken, help now!"),
]  # fmt: skip
# One per completion, prompt after prompt; the last group does not vary. Short completions have the better rewards, so that
# the terms of the loss, whose advantages sum up to 0, do not cancel out.
REWARDS = [0.25, 0.5, None, 1.0, 2.0, -0.75, 1.5, 0.0, 0.7, 0.7, 0.7, 0.7]
SAMPLING_NOISE = 0.6
NOISE_SEED = 7
# The engine could not say how likely this token of this completion was.
UNKNOWN = (1, 0)

LOSS_TYPES = ["grpo", "bnpo", "dapo", "dr_grpo", "cispo"]


def cases() -> list[dict]:
    """Settings by TRL's names, and by ours where it has none."""
    high = lambda loss_type: 1.25 if loss_type == "cispo" else 0.28
    found = []
    for loss_type in LOSS_TYPES:
        for level in ["token", "sequence"]:
            common = {"loss_type": loss_type, "importance_sampling_level": level, "epsilon_high": high(loss_type)}
            found += [common, {**common, "beta": 0.1, "temperature": 0.8}]
        found.append({"loss_type": loss_type, "mask_truncated_completions": True, "epsilon_high": high(loss_type)})
    found += [{"scale_rewards": scale} for scale in ["group", "batch", "none"]]
    found += [{"beta": 0.1, "reference": "base"}, {"on_policy": True}, {"on_policy": True, "beta": 0.1, "temperature": 1.5}]
    for level in ["token", "sequence"]:
        found.append({"importance_sampling_level": level, "beta": 0.1, "use_bias_correction_kl": False})
    for mode in ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]:
        correction = {"sampling_correction": mode, "sampling_correction_min": 0.8, "sampling_correction_max": 1.2}
        found += [correction, {**correction, "importance_sampling_level": "sequence", "beta": 0.1}]
        if mode.startswith("token"):
            found.append({**correction, "loss_type": "cispo", "epsilon_high": 1.25, "on_policy": True})
    return found + [{"loss_type": "dapo", "steps_per_generation": 2}, {"loss_type": "grpo", "steps_per_generation": 2}]


class FixedRollouts(GRPOTrainer):
    """TRL's trainer over given completions."""

    def answer_with(self, rollouts: list[dict]) -> None:
        self.rollouts = rollouts

    def _tokenize_prompts(self, prompts):
        return [rollout["prompt"] for rollout in self.rollouts], None, {}

    def _generate_single_turn(self, *_):
        tokens = [rollout["completion"] for rollout in self.rollouts]
        return tokens, [rollout["logprobs"] for rollout in self.rollouts] if self.use_vllm else None

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *_, **options):
        fused = super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, logits_to_keep, **options)
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, :-1] / self.temperature
        all_logprobs = logits.log_softmax(-1)
        kept = attention_mask[:, -logits_to_keep:] == 1
        logprobs = all_logprobs.gather(2, input_ids[:, 1:, None])[:, -logits_to_keep:, 0].masked_fill(~kept, 0)
        entropies = -(all_logprobs.exp() * all_logprobs).sum(-1)[:, -logits_to_keep:].masked_fill(~kept, 0)
        torch.testing.assert_close(fused[0].double(), logprobs, rtol=1e-4, atol=1e-4)
        return logprobs, entropies, fused[2]


def scale_b(model: PeftModel, plain: dict[str, torch.Tensor], factor: float) -> None:
    """Sets the trained adapter to the plain one, with another B."""
    for key, parameter in adapter_parameters(model).items():
        # The product is rounded to f32, as it is in the tests.
        values = plain[key] * np.float32(factor) if "lora_B" in key else plain[key]
        parameter.data.copy_(torch.from_numpy(values).double())


def draw(model, tokenizer) -> list[dict]:
    """Completions by the old policy."""
    torch.manual_seed(0)
    rollouts = []
    for messages in PROMPTS:
        prompt = encode_prompt(tokenizer, messages)
        for _ in range(GENERATIONS):
            tokens, logprobs, truncated = list(prompt), [], True
            for _ in range(NEW_TOKENS_MAX):
                with torch.no_grad():
                    logits = model(input_ids=torch.tensor([tokens])).logits[0, -1]
                token = torch.multinomial((logits / DRAW_TEMPERATURE).softmax(-1), 1).item()
                tokens.append(token)
                logprobs.append(logits.log_softmax(-1)[token].item())
                if token == tokenizer.eos_token_id:
                    truncated = False
                    break
            noise = SAMPLING_NOISE * hash_uniform(NOISE_SEED + len(rollouts), len(logprobs)).astype(np.float64)
            logprobs = [float(np.float32(value)) for value in np.array(logprobs) + noise]
            if len(rollouts) == UNKNOWN[0]:
                logprobs[UNKNOWN[1]] = None
            completion = tokens[len(prompt) :]
            rollouts.append({"prompt": prompt, "completion": completion, "truncated": truncated, "logprobs": logprobs})
    return rollouts


def trainer_of(model, tokenizer, case: dict, folder: str) -> FixedRollouts:
    """A trainer with the settings of a case; the model's adapter becomes its reference."""
    ours = ("reference", "on_policy", "sampling_correction", "sampling_correction_min", "sampling_correction_max", "steps_per_generation")
    settings = {key: value for key, value in case.items() if key not in ours}
    config = GRPOConfig(
        folder, num_generations=GENERATIONS, max_completion_length=NEW_TOKENS_MAX, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to="none", per_device_train_batch_size=len(REWARDS),
        num_iterations=1 if case.get("on_policy") else 2, **settings,
    )  # fmt: skip
    trainer = FixedRollouts(
        model, lambda completions, **_: REWARDS, args=config, processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": ["unused"]}),
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    trainer.args.steps_per_generation = case.get("steps_per_generation", 1)
    if "sampling_correction" in case:
        trainer.use_vllm = True
        trainer.vllm_importance_sampling_mode = case["sampling_correction"]
        trainer.vllm_importance_sampling_clip_min = case["sampling_correction_min"]
        trainer.vllm_importance_sampling_clip_max = case["sampling_correction_max"]
    return trainer


def golden(case: dict, tokenizer, plain: dict, rollouts: list[dict]) -> dict:
    model = policy()
    scale_b(model, plain, REFERENCE)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, tokenizer, case, folder)
    if case.get("reference") == "base" and "ref" in model.peft_config:
        model.delete_adapter("ref")
    model.set_adapter("default")
    model.double().train()
    trainer.answer_with(rollouts)

    scale_b(model, plain, CURRENT if case.get("on_policy") else OLD)
    inputs = trainer._generate_and_score_completions([{"prompt": "unused"} for _ in rollouts])
    scale_b(model, plain, CURRENT)
    loss = trainer._compute_loss(model, inputs)
    loss.backward()
    norms, dots = gradient_measures(model)
    logged = {key: values[-1] for key, values in trainer._metrics["train"].items()}
    return {
        "config": case, "loss": loss.item(), "advantages": inputs["advantages"].tolist(), "entropy": logged["entropy"],
        "kl": logged.get("kl"), "clip_ratio": logged.get("clip_ratio/region_mean"), "norms": norms, "dots": dots,
    }  # fmt: skip


def gradient_measures(model: PeftModel) -> tuple[list[float], list[float]]:
    """The norm of each tensor's gradient and its product with a probe, in the order of the tensors' names."""
    norms, dots = [], []
    for key, parameter in sorted(adapter_parameters(model).items()):
        flat = parameter.grad.flatten().numpy()
        probe = hash_uniform(PROBE_SEED + tensor_number(key), flat.size).astype(np.float64)
        norms.append(rounded(np.linalg.norm(flat)))
        dots.append(rounded(flat @ probe))
    return norms, dots


def rounded(value: float) -> float:
    return float(f"{value:.8g}")


def policy() -> PeftModel:
    return PeftModel.from_pretrained(load(HERE / "tiny").double(), HERE / "adapter_tiny", is_trainable=True).double()


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(HERE / "tiny")
    tokenizer.eos_token = "<|im_end|>"
    model = policy()
    plain = {key: parameter.detach().float().numpy().copy() for key, parameter in adapter_parameters(model).items()}
    rollouts = draw(model, tokenizer)
    found = []
    for case in cases():
        found.append(golden(case, tokenizer, plain, rollouts))
        print(case, {key: found[-1][key] for key in ("loss", "entropy", "kl", "clip_ratio")}, flush=True)
    factors = {"current": CURRENT, "old": OLD, "reference": REFERENCE}
    tensors = sorted(adapter_parameters(model))
    golden_file = {"b_factors": factors, "tensors": tensors, "rollouts": rollouts, "rewards": REWARDS, "cases": found}
    write_json("grpo_tiny.json", golden_file)


if __name__ == "__main__":
    main()

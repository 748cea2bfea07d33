"""Checks an adapter that Perennial wrote: PEFT loads it, and gives the logits that Perennial gave.

    python adapter_logits_check.py --base HF_FOLDER --adapter PEFT_FOLDER --logits FILE.json [--tolerance 1e-3]

FILE.json: {"prompts": [{"tokens": [id, ...], "logits": [f32 over the vocabulary]}, ...]}, after the last token of each prompt.
Exits with 1 where something is wrong.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def last_logits(model, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), logits_to_keep=1).logits[0, -1]


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def not_taken(model: PeftModel, file: Path) -> list[str]:
    """The tensors that stand in only one of the file and the loaded model, or differ: PEFT skips unknown names in silence."""
    stored, loaded = load_file(file), get_peft_model_state_dict(model)
    same = lambda key: key in stored and key in loaded and torch.equal(stored[key].float(), loaded[key].float())
    return sorted(key for key in stored.keys() | loaded.keys() if not same(key))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    prompts = json.loads(options.logits.read_text(encoding="utf-8"))["prompts"]
    if not prompts:
        print(f"{options.logits} holds no prompts")
        return 1
    base = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32).eval()
    without = [last_logits(base, prompt["tokens"]) for prompt in prompts]
    model = PeftModel.from_pretrained(base, options.adapter).eval()

    wrong = not_taken(model, options.adapter / "adapter_model.safetensors")
    if wrong:
        print(f"PEFT did not take {len(wrong)} tensors as they stand in the file: {', '.join(wrong[:5])}")
    errors, shifts = [], []
    for number, (prompt, plain) in enumerate(zip(prompts, without)):
        theirs = last_logits(model, prompt["tokens"])
        ours = torch.tensor(prompt["logits"])
        if ours.shape != theirs.shape:
            print(f"prompt {number}: {ours.numel()} logits instead of {theirs.numel()}")
            return 1
        errors.append(relative_error(ours, theirs))
        shifts.append(relative_error(plain, theirs))
        print(f"prompt {number}: relative error {errors[-1]:.2e}, the adapter moves the logits by {shifts[-1]:.2e}")

    # Not `>`: an error that is no number must fail too.
    too_far = not max(errors) <= options.tolerance
    idle = max(shifts) == 0
    print(f"largest relative error {max(errors):.2e}, allowed {options.tolerance:.0e}" + (": too far" if too_far else ""))
    if idle:
        print("the adapter changes nothing")
    return int(bool(wrong) or too_far or idle)


if __name__ == "__main__":
    sys.exit(main())

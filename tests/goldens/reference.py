"""What the reference scripts share: samples as tokens, LoRA by PEFT on torch, greedy answers, scores."""

import json
import random
from collections import Counter
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORED = -100


def read_rows(path: Path, limit: int | None = None) -> list[list[dict]]:
    """The conversations of a file of `messages` rows."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)["messages"] for line in file][:limit]


def encode_text(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def encode_prompt(tokenizer, messages: list[dict]) -> list[int]:
    """The turns by the template, up to where the assistant begins to speak."""
    return encode_text(tokenizer, tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def encode_sample(tokenizer, messages: list[dict]) -> tuple[list[int], list[int]]:
    """Tokens of the whole conversation, and 1 where a token is an assistant's word or closes its turn."""
    render = lambda upto: encode_text(tokenizer, tokenizer.apply_chat_template(messages[:upto], tokenize=False))
    tokens = render(len(messages))
    supervised = [0] * len(tokens)
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, line_break = encode_prompt(tokenizer, messages[:i]), 1
        if tokens[: len(prompt)] != prompt:
            raise ValueError(f"a token spans the border of the answer in {messages}")
        for position in range(len(prompt), len(render(i + 1)) - line_break):
            supervised[position] = 1
    return tokens, supervised


def padded(tokenizer, encoded: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """A batch for the model, padded on the right."""
    longest = max(len(tokens) for tokens, _ in encoded)
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for tokens, supervised in encoded:
        gap = longest - len(tokens)
        batch["input_ids"].append(tokens + [tokenizer.pad_token_id] * gap)
        batch["attention_mask"].append([1] * len(tokens) + [0] * gap)
        batch["labels"].append([t if s else IGNORED for t, s in zip(tokens, supervised)] + [IGNORED] * gap)
    return {name: torch.tensor(rows) for name, rows in batch.items()}


def train_lora(model, tokenizer, rows, *, rank: int, alpha: int, rate: float, batch: int, epochs: int, seed: int) -> PeftModel:
    """LoRA on every linear layer with the loss on the answers; AdamW without decay, the rate falling linearly to 0."""
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config).train()
    encoded = [encode_sample(tokenizer, messages) for messages in rows]
    order = random.Random(seed)
    batches = []
    for _ in range(epochs):
        shuffled = order.sample(encoded, len(encoded))
        batches += [shuffled[i : i + batch] for i in range(0, len(shuffled), batch)]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for step, chosen in enumerate(batches):
        loss = model(**padded(tokenizer, chosen)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 25 == 0 or step + 1 == len(batches):
            print(f"  step {step + 1}/{len(batches)} loss {loss.item():.4f}", flush=True)
    return model.eval()


def answers(model, tokenizer, rows: list[list[dict]], new_tokens_max: int, batch: int = 30) -> list[str]:
    """The greedy answer to each conversation without its last turn."""
    tokenizer.padding_side = "left"
    found = []
    for start in range(0, len(rows), batch):
        prompts = [
            tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
            for messages in rows[start : start + batch]
        ]
        inputs = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=new_tokens_max, do_sample=False)
        found += tokenizer.batch_decode(out[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return found


def exact_match(answer: str, reference: str) -> float:
    return float(answer.strip() == reference.strip())


def json_field_f1(answer: str, reference: str) -> float:
    """The F1 of the (path, value) pairs of two JSON objects, list elements as a multiset; 0 for what is no object."""
    try:
        pairs, expected = (Counter(leaves(json.loads(text), ())) for text in (answer, reference))
    except (json.JSONDecodeError, TypeError):
        return 0.0
    if not pairs and not expected:
        return 1.0
    return 2 * (pairs & expected).total() / (pairs.total() + expected.total())


def leaves(value, path: tuple):
    """The scalars under a JSON object, each with the way to it."""
    if not path and not isinstance(value, dict):
        raise TypeError("not a JSON object")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, (*path, None))
    else:
        yield path, json.dumps(value)


def mean_score(score, found: list[str], rows: list[list[dict]]) -> float:
    return sum(score(answer, messages[-1]["content"]) for answer, messages in zip(found, rows)) / len(rows)

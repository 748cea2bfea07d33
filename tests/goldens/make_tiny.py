"""Trains the tiny test model and writes `tiny/`: the model, its tokenizer, and the task files.

    python make_tiny.py            about five minutes on one core

A Llama of half a million parameters with grouped queries and a tied head, trained from scratch on the tasks of
`tiny_tasks.py` with the loss on the answers alone. Seeded; the committed weights are the ones that the goldens belong to,
so after running it anew run `make.py` too.
"""

import json
import math
import time
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from reference import IGNORED, encode_sample, padded
from tiny_tasks import GENERAL, SYLLABLES, files, row, ticket, zun

OUT = Path(__file__).parent / "tiny"
SEED = 7
VOCABULARY = 768
BATCH = 64
GROUPS = 4
STEPS = 1800
LEARNING_RATE = 3e-3
WARM_UP = 100

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TURN = 2
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "initializer_range": 0.06,
    "bos_token_id": 1,
    "eos_token_id": END_OF_TURN,
    "pad_token_id": END_OF_TURN,
    "torch_dtype": "bfloat16",
}
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def train_tokenizer() -> None:
    rng = Random(SEED)
    texts = ["system", "user", "assistant"] * 5000
    for task in [*GENERAL, ticket, zun]:
        texts += [turn["content"] for _ in range(2000) for turn in row(task, rng, "x")["messages"]]
    # Syllables must be merged before anything else, so that a made-up word is always a sequence of them.
    forms = [form for s in SYLLABLES for form in (f"{s} {s}", s.upper())]
    texts += forms * 10_000

    tokenizer = Tokenizer(models.BPE())
    # The same splitting as SmolLM2's.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"the corpus gives {tokenizer.get_vocab_size()} tokens, not {VOCABULARY}")

    OUT.mkdir(exist_ok=True)
    tokenizer.save(str(OUT / "tokenizer.json"))
    write_json(
        OUT / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL[1],
            "eos_token": SPECIAL[2],
            "pad_token": SPECIAL[2],
            "unk_token": SPECIAL[0],
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
            "chat_template": TEMPLATE,
        },
    )


def write_config() -> None:
    """The forms of transformers 4, as most published folders have them; SmolLM2's export has those of transformers 5."""
    write_json(OUT / "config.json", CONFIG)
    write_json(OUT / "generation_config.json", {"bos_token_id": 1, "eos_token_id": END_OF_TURN, "pad_token_id": END_OF_TURN})


def write_tasks() -> set[str]:
    """Writes `tasks/*.jsonl`; gives the prompts of the general suite, which training must not see."""
    folder = OUT / "tasks"
    folder.mkdir(exist_ok=True)
    sets = files(SEED)
    for name, rows in sets.items():
        lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {r["messages"][0]["content"] for r in sets["general_suite"]}


def batch(rng: Random, tokenizer, held_out: set[str]) -> list[dict[str, torch.Tensor]]:
    """BATCH samples in GROUPS of like length, which saves half of the padding."""
    sequences = []
    while len(sequences) < BATCH:
        messages = row(rng.choice(GENERAL), rng, "general")["messages"]
        if messages[0]["content"] not in held_out:
            sequences.append(encode_sample(tokenizer, messages))
    sequences.sort(key=lambda sequence: len(sequence[0]))
    size = BATCH // GROUPS
    return [padded(tokenizer, sequences[start : start + size]) for start in range(0, BATCH, size)]


def train_model(held_out: set[str]) -> PreTrainedModel:
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(OUT), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(OUT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    rng, start = Random(SEED + 1), time.time()
    for step in range(STEPS):
        warm, done = min(1.0, (step + 1) / WARM_UP), step / STEPS
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * done))
        groups = batch(rng, tokenizer, held_out)
        targets = sum((group["labels"] != IGNORED).sum().item() for group in groups)
        loss = 0.0
        for group in groups:
            part = model(**group, num_items_in_batch=targets).loss
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == STEPS - 1:
            print(f"step {step} loss {loss:.4f} {time.time() - start:.0f} s", flush=True)
    return model


def main() -> None:
    torch.set_num_threads(1)
    train_tokenizer()
    write_config()
    held_out = write_tasks()
    model = train_model(held_out)
    # bf16 on disk, half the size; every reader widens it to f32, exactly.
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()

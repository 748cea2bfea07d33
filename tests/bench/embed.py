"""Tokens per second of sentence vectors by torch, as sentence-transformers makes them: the mean of the last hidden state.

    python embed.py MODEL f32|bf16 ROWS.jsonl [--texts 64]

A text is the contents of a row's messages, a line each, cut off at 512 tokens. Batches of 32 texts of about the same length.
"""

import argparse
import json
import time
from itertools import islice

import common
import torch
from transformers import AutoModel, AutoTokenizer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
TOKENS_MAX = 512
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("precision", choices=DTYPES)
    parser.add_argument("rows")
    parser.add_argument("--texts", type=int, default=64)
    options = parser.parse_args()

    torch.set_num_threads(common.CORES)
    with open(options.rows) as rows:
        samples = [json.loads(row)["messages"] for row in islice(rows, options.texts)]
    texts = ["\n".join(message["content"] for message in messages) for messages in samples]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModel.from_pretrained(options.model, dtype=DTYPES[options.precision]).eval()

    def embed(texts: list) -> int:
        """The tokens that were embedded."""
        tokens = 0
        # Longest first, as sentence-transformers sorts them, so that little is padding.
        texts = sorted(texts, key=len, reverse=True)
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                texts[start : start + BATCH], padding=True, truncation=True, max_length=TOKENS_MAX, return_tensors="pt"
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            means = (hidden * mask).sum(1) / mask.sum(1)
            torch.nn.functional.normalize(means, dim=-1).tolist()
            tokens += int(mask.sum())
        return tokens

    with torch.inference_mode():
        embed(texts[:1])
        start = time.perf_counter()
        tokens = embed(texts)
        seconds = time.perf_counter() - start
    common.finish(tokens_per_second=tokens / seconds, tokens=tokens)


if __name__ == "__main__":
    main()

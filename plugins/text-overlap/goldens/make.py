"""Scores pairs of texts with the reference implementations and writes goldens.json beside this file.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python make.py

token_f1: SQuAD's, by torchmetrics. rouge_l: rouge-score without stemming, F-measure. bleu: sacrebleu's sentence_bleu
(13a tokens, exponential smoothing, effective order), as a share of 1.
"""

import json
import random
from pathlib import Path

import sacrebleu
from rouge_score import rouge_scorer
from torchmetrics.functional.text import squad

PAIRS = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("A cat was sitting on a mat", "The cat sat on the mat."),
    ("completely different", "The cat sat on the mat."),
    ("mat the on sat cat the", "The cat sat on the mat."),
    ("the the the the", "The cat sat on the mat, the end."),
    ("cat", "The cat"),
    ("the", "a"),
    ("Paris", "Paris, France"),
    ("It costs $1,234.50 (about 5% more).", "The price is $1,234.50, i.e. 5% more."),
    ("From 1990-2000, state-of-the-art.", "From 1990 - 2000: state of the art..."),
    ("He said: &quot;1 &lt; 2 &amp;amp; 3&quot;", 'He said: "1 < 2 & 3"'),
    ("A line-\nbreak and\nanother <skipped> word", "A linebreak and another word"),
    ("Don't stop, it's a dog's life!", "Do not stop; it is a dog’s life."),
    ("the–end and a…b", "end and b"),
    ("Größe und Maß, über alles: naïve café", "größe und mass über ALLES naive cafe"),
    ("Привет, мир! Как дела?", "Привет мир, как твои дела?"),
    ("日本語のテキスト です", "日本語の テキスト です"),
    ("one two three four five six seven eight", "one two three four nine ten eleven twelve"),
    ("one two three", "one two three four five six seven eight nine ten"),
    ("one two three four five six seven eight nine ten", "one two three"),
    ("a.b.c 1.2.3 ,x, 4,5,6. 7-8 -9 x-", "a . b . c 1.2.3 , x , 4,5,6 . 7 - 8 -9 x -"),
    ("under_score snake_case __init__", "under score snake case init"),
    ("{\"name\": \"Ada\", \"born\": 1815}", "{\"name\":\"Ada\",\"born\":1815}"),
    ("tabs\tand  spaces \u00a0 here", "tabs and spaces here"),
    ("ends with space. ", "ends with space."),
    ("!!!", "???"),
    ("yes.", "yes"),
]

WORDS = "the a an cat dog sat ran on under mat, tree. it's 3.5 1,000 well-known (maybe) \"so\" and/or Größe x_y".split()


def random_pairs(count):
    draw = random.Random(7)
    for _ in range(count):
        reference = draw.choices(WORDS, k=draw.randint(1, 14))
        completion = [word for word in reference if draw.random() < 0.7] + draw.choices(WORDS, k=draw.randint(0, 4))
        yield " ".join(completion), " ".join(reference)


def scored(completion, reference):
    answer = [{"prediction_text": completion, "id": "0"}]
    right = [{"answers": {"answer_start": [0], "text": [reference]}, "id": "0"}]
    rouge = rouge_scorer.RougeScorer(["rougeL"]).score(reference, completion)["rougeL"]
    return {
        "completion": completion,
        "reference": reference,
        "token_f1": round(squad(answer, right)["f1"].item() / 100, 6),
        "rouge_l": rouge.fmeasure,
        "bleu": sacrebleu.sentence_bleu(completion, [reference]).score / 100,
    }


goldens = [scored(*pair) for pair in [*PAIRS, *random_pairs(30)]]
lines = ",\n".join(json.dumps(golden, ensure_ascii=False) for golden in goldens)
Path(__file__).with_name("goldens.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")

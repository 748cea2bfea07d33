"""The reward function. `perennial plugin build` makes a component of the one function under @reward."""

import re
from collections import Counter
from dataclasses import dataclass, field

from perennial_reward import Part, reward


@dataclass
class Config:
    words_max: int = field(default=100, metadata={"minimum": 1, "description": "The longest answer that earns anything"})


@reward(
    name="my-reward",
    version="0.1.0",
    help="How many words a short answer shares with the reference",
    parts=[
        Part("overlap", help="F1 of the words of answer and reference"),
        Part("brief", help="1 where the answer is short enough"),
    ],
    config=Config,
)
def score(completions, reference, config=Config(), **columns):
    return [judge(text, wanted, config) for text, wanted in zip(completions, reference)]


def judge(text, wanted, config):
    given, expected = words(text), words(wanted)
    overlap = f1(given, expected)
    brief = len(given) <= config.words_max
    return {
        "reward": overlap if brief else 0.0,
        "parts": {"overlap": overlap, "brief": brief},
        "reason": None if brief else f"{len(given)} words",
    }


def words(text):
    return re.findall(r"\w+", text.lower())


def f1(given, expected):
    shared = sum((Counter(given) & Counter(expected)).values())
    return 2 * shared / (len(given) + len(expected)) if shared else 0.0

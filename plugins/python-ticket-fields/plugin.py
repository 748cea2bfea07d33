"""Scores JSON tickets field by field against the reference."""

import json
from dataclasses import dataclass, field

from perennial_reward import Abstained, Part, Scored, reward

# Tenths of the reward. A readable object is worth something before a single field is right: there must be a way up.
VALID, FIELDS, CLEAN = 2, 7, 1


@dataclass
class Config:
    fields: list[str] = field(
        default_factory=list,
        metadata={"description": "The fields that count; none named, those of the reference", "uniqueItems": True},
    )
    ignore_case: bool = field(
        default=True, metadata={"description": "Whether texts that differ in case and outer space are the same"}
    )


@reward(
    version="0.1.0",
    help="Share of a ticket's fields that agree with the reference",
    parts=[
        Part("valid", help="1 where the answer is one JSON object"),
        Part("fields", help="Share of the wanted fields with the right value"),
        Part("clean", help="Share of the answer's fields that are wanted"),
    ],
    config=Config,
)
def ticket_fields(prompts, completions, reference, config=Config(), **columns):
    return [score(text, wanted, config) for text, wanted in zip(completions, reference)]


def score(text, reference, config):
    """One answer's verdict."""
    wanted = parsed(reference)
    if wanted is None:
        return Abstained("the reference is no JSON object")
    if config.fields:
        wanted = {name: wanted.get(name) for name in config.fields}
    if not wanted:
        return Abstained("the reference has no fields")
    answer = parsed(text)
    if answer is None:
        return Scored(0.0, {"valid": 0.0, "fields": 0.0, "clean": 0.0}, "no JSON object")
    wrong = [name for name, value in wanted.items() if not same(answer.get(name), value, config)]
    other = [name for name in answer if name not in wanted]
    fields = 1 - len(wrong) / len(wanted)
    clean = 1 - len(other) / len(answer) if answer else 0.0
    total = (VALID + FIELDS * fields + CLEAN * clean) / 10
    reasons = [f"wrong: {', '.join(wrong)}"] * bool(wrong) + [f"not asked for: {', '.join(other)}"] * bool(other)
    return Scored(total, {"valid": 1.0, "fields": fields, "clean": clean}, "; ".join(reasons) or None)


def parsed(text):
    """The JSON object that a text is, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def same(given, wanted, config):
    """Whether two values of a field agree: 1 and true do not."""
    if isinstance(given, str) and isinstance(wanted, str) and config.ignore_case:
        return given.strip().casefold() == wanted.strip().casefold()
    return type(given) is type(wanted) and given == wanted

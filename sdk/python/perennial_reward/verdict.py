"""What a reward function may return, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from .declaration import Declaration

REASON_BYTES_MAX = 512


class ContractError(ValueError):
    """A reward function returned what no reward function may return."""


@dataclass(frozen=True)
class Scored:
    """A completion's reward, with parts and a reason where there are any."""

    reward: float
    parts: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class Abstained:
    """No opinion on a completion. It is left out, which is not the same as a reward of zero."""

    reason: str


Verdict = Union[Scored, Abstained]


def verdicts(returned: Any, count: int, declaration: Declaration) -> list[Verdict]:
    """One verdict for each completion, checked against what the plugin declares.

    Raises ContractError, with the place and what was wrong there.
    """
    if isinstance(returned, (str, bytes, Mapping)) or not isinstance(returned, Iterable):
        raise ContractError(f"{declaration.name} returned {_kind(returned)}: return a list with {count} results")
    results = list(returned)
    if len(results) != count:
        raise ContractError(f"{declaration.name} returned {len(results)} results for {count} completions")
    return [_verdict(result, f"result {at}", declaration) for at, result in enumerate(results)]


def _verdict(result: Any, place: str, declaration: Declaration) -> Verdict:
    if result is None:
        return Abstained("the function returned None")
    if isinstance(result, Abstained):
        return Abstained(_shortened(result.reason))
    if isinstance(result, Mapping):
        unknown = sorted(set(result) - {"reward", "parts", "reason"})
        if unknown or "reward" not in result:
            raise ContractError(f"{place} has the keys {sorted(result)}: reward, and if wanted parts and reason")
        if result["reward"] is None:
            return Abstained(_shortened(result.get("reason") or "the reward is None"))
        result = Scored(result["reward"], result.get("parts") or {}, result.get("reason"))
    if not isinstance(result, Scored):
        result = Scored(result)
    reward = _number(result.reward, place, declaration.min, declaration.max)
    ranges = {part.name: part for part in declaration.parts}
    parts = {}
    for name, value in result.parts.items():
        if name not in ranges:
            raise ContractError(f"{place} has the part {name!r}, which is not declared: Part({name!r}) in parts=[...]")
        parts[name] = _number(value, f"{place}, part {name}", ranges[name].min, ranges[name].max)
    return Scored(reward, parts, None if result.reason is None else _shortened(result.reason))


def _number(value: Any, place: str, low: float, high: float) -> float:
    # What libraries of numbers return has __float__ too; text has not, and must not be parsed.
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise ContractError(f"{place} is {_kind(value)}: a number, or None to abstain")
    number = float(value)
    if not math.isfinite(number):
        raise ContractError(f"{place} is {number}: return None to abstain")
    if not low <= number <= high:
        where = "Part(min=, max=)" if ", part " in place else "@reward(min=, max=)"
        raise ContractError(f"{place} is {number}, outside the declared range {low} to {high}: {where} declares another")
    return number


def _shortened(reason: Any) -> str:
    data = str(reason).encode("utf-8", "replace")
    if len(data) <= REASON_BYTES_MAX:
        return data.decode()
    ellipsis = "…"
    return data[: REASON_BYTES_MAX - len(ellipsis.encode())].decode("utf-8", "ignore") + ellipsis


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"

"""Cases: what a plugin must say of which completion, in JSON files that `perennial plugin test` reads too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .plugin import Reward
from .task import Message, Task
from .verdict import Abstained, Scored, Verdict

TOLERANCE_DEFAULT = 1e-9
_EXPECTED = {"outcome", "reward", "tolerance", "parts", "reason_contains"}


def check(plugin: Reward, folder: str | Path) -> int:
    """Holds a plugin to all cases of a folder, `*.json`, and returns how many completions were judged.

    Raises AssertionError with everything that differs.
    """
    files = sorted(Path(folder).glob("*.json"))
    assert files, f"{folder} holds no cases: *.json"
    differences, count = [], 0
    for file in files:
        case = json.loads(file.read_text("utf-8"))
        completions = case["completions"]
        given = _judged(plugin, case)
        for at, (completion, verdict) in enumerate(zip(completions, given)):
            place = f"{file.name}, completion {at}"
            differences += [f"{place}: {what}" for what in differing(completion["expect"], verdict)]
        count += len(completions)
    assert not differences, "\n".join(differences)
    return count


def _judged(plugin: Reward, case: dict[str, Any]) -> list[Verdict | Exception]:
    try:
        return plugin.score(task(case), case.get("config", {}))
    except Exception as error:  # In the sandbox, this is the fault of every completion.
        return [error] * len(case["completions"])


def task(case: dict[str, Any]) -> Task:
    """The task of a case. A prompt that is text is one message of the user."""
    prompt = case["prompt"]
    messages = [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt
    completions = [completion["text"] for completion in case["completions"]]
    return Task(messages, completions, case.get("reference"), case.get("labels", {}), case.get("metadata", {}))


def differing(expected: dict[str, Any], given: Verdict | Exception) -> Iterator[str]:
    """What is otherwise than expected, of a verdict or of what was raised in its place."""
    unknown = sorted(set(expected) - _EXPECTED)
    if unknown:
        yield f"nothing can be expected of {', '.join(unknown)}"
    outcome, reason = _told(given)
    wanted = expected.get("outcome", "scored")
    if outcome != wanted:
        yield f"it {outcome}{f' ({reason})' if reason else ''}, and {wanted} is expected"
    needle = expected.get("reason_contains", "")
    if needle not in reason:
        yield f"the reason {reason!r} does not contain {needle!r}"
    if not isinstance(given, Scored):
        return
    tolerance = expected.get("tolerance", TOLERANCE_DEFAULT)
    if "reward" in expected and abs(given.reward - expected["reward"]) > tolerance:
        yield f"the reward is {given.reward}, and {expected['reward']} is expected"
    for name, value in expected.get("parts", {}).items():
        part = given.parts.get(name)
        if part is None or abs(part - value) > tolerance:
            yield f"the part {name} is {part}, and {value} is expected"


def _told(given: Verdict | Exception) -> tuple[str, str]:
    if isinstance(given, Scored):
        return "scored", given.reason or ""
    if isinstance(given, Abstained):
        return "abstained", given.reason
    return "faulted", f"{type(given).__name__}: {given}"

"""JSON that nests deeply, which a model in a loop is quick to write, must be an error of that text alone.

The fast scanner calls itself once a level, in C, on a stack that the sandbox keeps small: running out of it would trap,
and take the whole group along. The one in Python is slower and ends in RecursionError.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import scanner
from typing import Any

# Well below where the sandbox's stack ends.
BRACKETS_SAFE = 200

_fast = scanner.make_scanner


def make_scanner(context: Any) -> Callable[[str, int], tuple[Any, int]]:
    """The fast scanner for texts that cannot nest deeply, the one in Python for others."""
    fast, slow = _fast(context), scanner.py_make_scanner(context)

    def scan(text: str, at: int) -> tuple[Any, int]:
        brackets = text.count("[") + text.count("{")
        return (fast if brackets <= BRACKETS_SAFE else slow)(text, at)

    return scan


def install() -> None:
    """Makes all reading of JSON safe."""
    scanner.make_scanner = make_scanner
    json._default_decoder = json.JSONDecoder()

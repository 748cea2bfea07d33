"""What a plugin says about itself, checked where it is written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def check_name(what: str, name: str) -> None:
    """Names become labels of metrics, so their letters are few."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r}: use lower-case letters, digits, - and _")


def check_range(what: str, low: float, high: float) -> None:
    """A range that bounds nothing is none."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{what}: min {low} and max {high} must be finite, and min below max")


@dataclass(frozen=True)
class Part:
    """A named component of a score, for metrics and reports, with the range of its values."""

    name: str
    min: float = 0.0
    max: float = 1.0
    help: str = ""

    def __post_init__(self) -> None:
        check_name("part", self.name)
        check_range(f"part {self.name}", self.min, self.max)


@dataclass(frozen=True)
class Declaration:
    """The descriptor of the interface, less the schema of the configuration."""

    name: str
    version: str
    help: str
    min: float
    max: float
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        check_name("plugin", self.name)
        check_range(f"plugin {self.name}", self.min, self.max)
        if not _VERSION.fullmatch(self.version):
            raise ValueError(f"version {self.version!r}: write MAJOR.MINOR.PATCH")
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"parts {', '.join(names)}: each name once")

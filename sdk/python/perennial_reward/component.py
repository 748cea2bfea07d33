"""A plugin as a component of the interface `perennial:reward`. Importable only where componentize-py made its bindings."""

from __future__ import annotations

import io
import json
import logging
import random
import sys
import time
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TextIO

import wit_world
from componentize_py_types import Err
from wit_world.imports import log, types

from . import nesting
from .plugin import Reward
from .settings import ConfigError
from .task import Message, Task
from .verdict import Scored, Verdict


def export(module: ModuleType) -> type[wit_world.WitWorld]:
    """The component of the one plugin that a module holds."""
    found = {id(value): value for value in vars(module).values() if isinstance(value, Reward)}
    if len(found) != 1:
        names = ", ".join(plugin.declaration.name for plugin in found.values()) or "none"
        raise TypeError(f"{module.__name__} must hold one function under @reward; it holds {names}")
    (plugin,) = found.values()
    sys.meta_path.append(_NoFiles())
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder]

    class Component(wit_world.WitWorld):
        def describe(self) -> types.Descriptor:
            _streams.in_service()
            return _descriptor(plugin)

        def score(self, config: str, task: types.Task) -> list[types.Verdict]:
            _streams.in_service()
            try:
                return [_verdict(verdict) for verdict in plugin.score(_task(task), json.loads(config))]
            except ConfigError as error:
                raise Err(types.Fault_BadConfig(str(error))) from error
            except Exception as error:
                raise Err(types.Fault_Internal(_explained(error))) from error

    return Component


def _descriptor(plugin: Reward) -> types.Descriptor:
    declared = plugin.declaration
    parts = [types.PartSpec(part.name, part.min, part.max, part.help) for part in declared.parts]
    schema = json.dumps(plugin.settings.schema)
    return types.Descriptor(
        declared.name, declared.version, declared.help, declared.min, declared.max, parts, schema
    )


def _task(task: types.Task) -> Task:
    prompt = [Message(role=message.role.name.lower(), content=message.content) for message in task.prompt]
    completions = [sample.completion for sample in task.samples]
    return Task(prompt, completions, task.reference, dict(task.labels), json.loads(task.metadata_json))


def _verdict(verdict: Verdict) -> types.Verdict:
    if not isinstance(verdict, Scored):
        return types.Verdict_Abstain(verdict.reason)
    parts = [types.Part(name, value) for name, value in verdict.parts.items()]
    return types.Verdict_Scored(types.Score(verdict.reward, parts, verdict.reason))


def _explained(error: Exception) -> str:
    """The error with the line of the plugin that it came from."""
    # Not by the traceback module: it would look for the source, and there are no files.
    place, at = "", error.__traceback__
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if file != __file__:
            place = f" ({file.rpartition('/')[2]}, line {at.tb_lineno})"
        at = at.tb_next
    return f"{type(error).__name__}: {error}{place}"


class _NoFiles:
    """Says why an import fails, where looking for files would trap."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        raise ModuleNotFoundError(f"import {name} at the top of the plugin: once it is built, there are no files", name=name)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = log.Level.DEBUG if record.levelno < logging.INFO else log.Level.INFO
        log.emit(log.Level.WARN if record.levelno >= logging.WARNING else level, self.format(record))


class _Lines(io.TextIOBase):
    """Standard output as lines of the log; of the terminal while the plugin is built, when there is no log."""

    def __init__(self, terminal: TextIO) -> None:
        self._begun = ""
        self._terminal: TextIO | None = terminal

    def in_service(self) -> None:
        self._terminal = None

    def write(self, text: str) -> int:
        if self._terminal is not None:
            return self._terminal.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            log.emit(log.Level.INFO, line)
        return len(text)


_streams = _Lines(sys.__stderr__)


def _settle() -> None:
    """Puts something deterministic in the place of what the sandbox lacks, before anything asks for it."""
    # The first byte written to the real streams would trap, and so would a look at the clock, which logging takes.
    sys.stdout = sys.stderr = _streams
    for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, clock, lambda: 0.0)
        setattr(time, f"{clock}_ns", lambda: 0)
    random.seed(0)
    nesting.install()
    logging.basicConfig(handlers=[_Handler()], level=logging.DEBUG, format="%(message)s", force=True)


_settle()

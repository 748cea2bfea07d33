"""The decorator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from .declaration import Declaration, Part
from .settings import Settings
from .task import Task
from .verdict import Abstained, Verdict, verdicts

# What TRL's trainer passes besides the columns of the data, and no plugin has.
_OF_THE_TRAINER = {"completion_ids", "trainer_state", "log_extra", "log_metric", "environments"}
_OURS = {"prompts", "completions", "config"}


def reward(
    *,
    name: str | None = None,
    version: str = "0.1.0",
    help: str | None = None,
    min: float = 0.0,
    max: float = 1.0,
    parts: Iterable[Part] = (),
    config: type | dict[str, Any] | None = None,
    conversational: bool = False,
    columns: dict[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Reward]:
    """Makes a function in TRL's form, `def f(prompts, completions, **columns)`, a reward plugin.

    The function is called once for a prompt's whole group. It gets, by name and each as a list with an entry for each
    completion, whichever of these it has parameters for: `prompts`, `completions`, `reference` (the row's answer, where it has
    one), the row's labels, and the keys of its metadata; and `config`, once. Where a row lacks what a parameter without a
    default asks for, the plugin abstains. It returns one result for each completion: a number, None to abstain, a dict
    with `reward` and if wanted `parts` and `reason`, or Scored and Abstained.

    name: by default the function's, with - for _.
    help: by default the first line of the function's docstring.
    min, max: between these lies every reward.
    parts: all that scores may name.
    config: a dataclass, or a JSON schema of an object; the function gets an instance, or a dict.
    conversational: prompts as lists of messages and completions as lists with the one message of the assistant, which
        is what TRL passes for data with messages; without it, both are text.
    columns: where a parameter's values come from if not from the column of its name, as {"solution": "reference"}.
    """

    def decorate(function: Callable[..., Any]) -> Reward:
        declaration = Declaration(
            name=name or function.__name__.replace("_", "-").lower(),
            version=version,
            help=help or (inspect.getdoc(function) or "").partition("\n")[0],
            min=float(min),
            max=float(max),
            parts=tuple(parts),
        )
        return Reward(function, declaration, Settings.of(config), conversational, columns or {})

    return decorate


class Reward:
    """A reward plugin. Called, it is the function that was decorated, so that TRL takes it as it is."""

    def __init__(
        self,
        function: Callable[..., Any],
        declaration: Declaration,
        settings: Settings,
        conversational: bool,
        columns: dict[str, str],
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.declaration = declaration
        self.settings = settings
        self._conversational = conversational
        self._columns = columns
        self._takes_all, self._parameters = _parameters(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def score(self, task: Task, config: dict[str, Any] | None = None) -> list[Verdict]:
        """A verdict for each completion.

        Raises ConfigError, ContractError, and whatever the function raises.
        """
        settings = self.settings.read(config or {})
        values = self._values(task)
        for parameter, is_required in self._parameters.items():
            if is_required and parameter not in _OURS and parameter not in values:
                column = self._columns.get(parameter, parameter)
                return [Abstained(f"the row has no {column}")] * len(task.completions)
        arguments = {parameter: [value] * len(task.completions) for parameter, value in values.items()}
        arguments.update(self._prompts_and_completions(task), config=settings)
        passed = {name: value for name, value in arguments.items() if self._passes(name)}
        return verdicts(self.function(**passed), len(task.completions), self.declaration)

    def _values(self, task: Task) -> dict[str, Any]:
        columns = {name: value for name, value in task.columns().items() if name not in _OURS}
        renamed = {parameter: columns[source] for parameter, source in self._columns.items() if source in columns}
        return {**columns, **renamed}

    def _prompts_and_completions(self, task: Task) -> dict[str, Any]:
        if self._conversational:
            completions: list[Any] = [[{"role": "assistant", "content": text}] for text in task.completions]
            return {"prompts": [task.prompt] * len(completions), "completions": completions}
        return {"prompts": [task.prompt_text()] * len(task.completions), "completions": list(task.completions)}

    # A function with **columns that says nothing of a config does not take it for a column.
    def _passes(self, argument: str) -> bool:
        return argument in self._parameters or (self._takes_all and argument != "config")


def _parameters(function: Callable[..., Any]) -> tuple[bool, dict[str, bool]]:
    """Whether the function takes any name, and the names it has, with whether each must be given."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__name__} is async: a plugin has nothing to wait for")
    takes_all, names = False, {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_all = True
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise TypeError(f"{function.__name__}: {name} is positional only, and arguments are passed by name")
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            names[name] = parameter.default is inspect.Parameter.empty
            if names[name] and name in _OF_THE_TRAINER:
                raise TypeError(f"{function.__name__} asks for {name}, which only a trainer in Python has")
    return takes_all, names

"""Reward plugins for Perennial in Python.

A function as TRL's GRPOTrainer takes it becomes a plugin by a decorator:

    from perennial_reward import Part, reward

    @reward(help="Is the answer a JSON object?", parts=[Part("valid")])
    def json_object(completions, **columns):
        return [...]  # one float, None, dict, Scored or Abstained for each completion

The same function runs in Perennial's sandbox, in plain Python under a unit test, and under TRL.
"""

from .declaration import Part
from .plugin import Reward, reward
from .settings import ConfigError
from .task import Message, Task
from .verdict import Abstained, ContractError, Scored, Verdict

__all__ = [
    "Abstained",
    "ConfigError",
    "ContractError",
    "Message",
    "Part",
    "Reward",
    "Scored",
    "Task",
    "Verdict",
    "reward",
]
__version__ = "0.1.0"

"""What a plugin is asked: one prompt with its group of completions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict


class Message(TypedDict):
    """One turn of a conversation, as TRL and chat templates spell it."""

    role: str
    content: str


@dataclass(frozen=True)
class Task:
    """One prompt with the completions that are compared with each other."""

    prompt: list[Message]
    completions: list[str]
    reference: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def prompt_text(self) -> str:
        """The messages' contents, parted by empty lines."""
        return "\n\n".join(message["content"] for message in self.prompt)

    def columns(self) -> dict[str, Any]:
        """The row's values by name. The reference comes before a label of that name, a label before metadata."""
        values = {**self.metadata, **self.labels}
        if self.reference is not None:
            values["reference"] = self.reference
        return values

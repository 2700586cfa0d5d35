"""What is wrong in the agent's own configuration, where, and what would be right."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass


class SecretError(ValueError):
    """A secret can't be read.

    Attributes:
        message: What is wrong.
        remedy: What would be right.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}, {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a setting stands, or would.

    Attributes:
        source: The file, or for people what else says it (`environment`); empty where nothing does.
        is_file: The source is a file.
        line: From 1; None where there are no lines, or what is wrong is in none of them.
        column: From 1, in characters; None with the line.
        path: Its keys, as in `mqtt.url`; empty for a source as a whole.
        name: What it is called there; empty where that is its path.
    """

    source: str = ""
    is_file: bool = False
    line: int | None = None
    column: int | None = None
    path: str = ""
    name: str = ""

    @property
    def where(self) -> str:
        """`agent.yaml:3:7`: the place without its keys."""
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.name or self.path) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProblem:
    """One mistake. Its text is one line.

    Attributes:
        place: Where it is.
        message: What is wrong.
        remedy: What would be right.
    """

    place: Place
    message: str
    remedy: str

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}, {self.remedy}"
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

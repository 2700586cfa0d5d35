"""Three-valued logic: what a condition can answer, and what a name can be."""

from __future__ import annotations

from typing import Final, Protocol

from watchtower_agent.model.window import Window

Truth = bool | None
"""True, False, or None for UNKNOWN."""


class Unknown:
    """The type of UNKNOWN, the value of a name that is not known. Never zero, never empty text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

Value = float | int | str | bool | Unknown
"""What a name of the catalogue can be. Percent as 80 for 80 %, bytes and durations as numbers in bytes and seconds."""


class Subject(Protocol):
    """Whom a condition is asked about: it knows the value of every name of the catalogue."""

    def value(self, name: str) -> Value:
        """The value of a catalogue name (`cpu.percent`, `health`, `event.exit_code`), or UNKNOWN."""
        ...

    def window(self, window: Window) -> Value:
        """A function of a metric's recent past, UNKNOWN while too little of it is known."""
        ...

    def label(self, key: str) -> Value:
        """A container's label; a missing label is the empty text, UNKNOWN when the labels are not known."""
        ...

    def attribute(self, key: str) -> Value:
        """An attribute of the event at hand; a missing one is the empty text, UNKNOWN without an event."""
        ...

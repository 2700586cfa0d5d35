"""What a request to the engine is, whichever way it takes: over a socket of this host, or through the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final, Protocol

from watchtower_agent.model.values import dataclass

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class WayError(OSError):
    """What leads to the engine failed. Its text says how, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer.

    Attributes:
        status: Of HTTP.
        content: Its body.
        headers: Of an answer to HEAD, by their names in small letters: it has nothing else.
    """

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> object:
        """The body, which is JSON."""
        answer: object = json.loads(self.content)
        return answer


class Stream(Protocol):
    """An answer without an end. One thread reads and closes it; any thread may abort it.

    Attributes:
        gathers: Whether it can be left for a moment, and tell what has come since.
    """

    gathers: bool

    def status(self) -> int:
        """Of HTTP."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Its body as it arrives, waited for without a limit."""
        ...

    def leave(self, seconds: float) -> None:
        """Let its body come together for so long, or until it ends. Only where it `gathers`, by who reads it."""
        ...

    def more(self) -> bool:
        """Whether more of its body is here already; never waits. Only where it `gathers`, by who reads it."""
        ...

    def rest(self) -> bytes:
        """What is left of its body, where it has an end after all: within the request's time limit."""
        ...

    def abort(self) -> None:
        """Make a blocked read return."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Transport(Protocol):
    """Carries requests. Every thread may use one; raises OSError, HTTPException or ValueError."""

    def ask(self, method: str, target: str, *, body: Mapping[str, object] | None = None, timeout: float) -> Answer:
        """One request, with JSON or without; `timeout` in seconds for each part of the answer."""
        ...

    def open(self, target: str, *, timeout: float) -> Stream:
        """GET what has no end; `timeout` in seconds until its begin."""
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...

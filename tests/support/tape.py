"""An independent recording of everything that an engine says, to compare with what the agent made of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.engine import PrivateEngine, UnixConnection
from tests.support.patience import patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event as the engine said it: stamp (nanoseconds), kind, first word of the action, actor."""

    time_ns: int
    kind: str
    action: str
    actor: str
    name: str = field(compare=False)

    @property
    def is_exec(self) -> bool:
        """One of those that an agent does not publish unless it is told to."""
        return self.action.startswith("exec_")


def recorded(raw: Mapping[str, Any]) -> Recorded:
    """One event, out of the engine's JSON."""
    return Recorded(
        time_ns=raw["timeNano"],
        kind=raw["Type"],
        action=raw["Action"].partition(":")[0],
        actor=raw["Actor"]["ID"],
        name=raw["Actor"]["Attributes"].get("name", ""),
    )


class EngineTape:
    """Reads the engine's event stream from the moment it is entered. Use as a context manager.

    Attributes:
        events: In the engine's order.
    """

    def __init__(self, engine: PrivateEngine) -> None:
        self.events: list[Recorded] = []
        self._news = threading.Condition()
        self._connection = UnixConnection(engine.socket, timeout=600.0)
        self._connection.request("GET", "/events")
        self._answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read, name="engine-tape", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._answer.close()
        self._connection.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := self._answer.readline():
                event = recorded(json.loads(line))
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()

    def published(self, kind: str = "") -> list[Recorded]:
        """What an agent publishes of it: everything but exec events."""
        return [e for e in tuple(self.events) if kind in {"", e.kind} and not e.is_exec]

    def of(self, name: str, action: str = "", *, since: int = 0) -> list[Recorded]:
        """Events of a container, but for the first so many of all."""
        return [e for e in self.events[since:] if name in {e.name, e.actor} and action in {"", e.action}]

    def wait_more(self, count: int, timeout: float = 30.0) -> None:
        """Wait until the engine has said that much more."""
        with self._news:
            goal = len(self.events) + count
            assert self._news.wait_for(lambda: len(self.events) >= goal, patient(timeout)), f"no {count} more events"

    def wait(self, name: str, action: str, count: int = 1, timeout: float = 15.0, *, since: int = 0) -> list[Recorded]:
        """Wait for that many such events, the first so many of all not counted."""
        deadline = time.monotonic() + patient(timeout)
        with self._news:
            while len(found := self.of(name, action, since=since)) < count:
                assert self._news.wait(deadline - time.monotonic()), f"no {action} of {name} within {timeout:g} s"
        return found

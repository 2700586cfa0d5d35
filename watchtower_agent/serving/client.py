"""The other end of the control socket: what the command line asks a running agent with. Plain blocking calls."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from watchtower_agent.errors import PermanentError, TemporaryError
from watchtower_agent.serving.protocol import LARGEST_ANSWER, VERSION, line

ANSWER_TIME: Final = 15.0
"""Seconds in which an answer must have come."""


class NoAgentError(TemporaryError):
    """No agent answers."""


class ControlClient:
    """Asks the agent behind a socket."""

    def __init__(self, path: Path, *, answer_time: float = ANSWER_TIME) -> None:
        """Connect to nothing yet.

        Args:
            path: Of the socket file.
            answer_time: Seconds in which an answer must have come.
        """
        self._path = path
        self._answer_time = answer_time

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON is any of its types
        """One question, one answer.

        Raises:
            NoAgentError: Nobody answers.
            PermanentError: The agent refuses; the text is its own.
        """
        with self._connected() as connection, connection.makefile("rb") as answers:
            return self._answer(connection, answers, command, arguments)

    def follow(self) -> Iterator[dict[str, Any]]:
        """Every event from now on; ends when the agent stops.

        Raises:
            NoAgentError: Nobody answers.
            PermanentError: The agent refuses; the text is its own.
        """
        with self.following() as events:
            yield from events

    @contextmanager
    def following(self) -> Iterator[Following]:
        """The same; inside, no event is missed, whenever it is read.

        Raises:
            NoAgentError: Nobody answers.
            PermanentError: The agent refuses; the text is its own.
        """
        with self._connected() as connection, connection.makefile("rb") as answers:
            self._answer(connection, answers, "follow", {})
            connection.settimeout(None)
            yield Following(connection, answers)

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._answer_time)
        try:
            connection.connect(str(self._path))
        except PermissionError:
            connection.close()
            raise NoAgentError(
                f"You may not talk to the agent at {self._path}: its file mode (control.mode) does not allow it. "
                "Try as root, or as a member of the file's group."
            ) from None
        except OSError as error:
            connection.close()
            reason = "" if isinstance(error, FileNotFoundError | ConnectionRefusedError) else f" ({error})"
            raise NoAgentError(
                f"No agent answers at {self._path}{reason}; start it with: watchtower-agent run"
            ) from None
        return connection

    def _answer(self, connection: socket.socket, answers: BinaryIO, command: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 - JSON is any of its types
        try:
            connection.sendall(line({"version": VERSION, "command": command, "arguments": arguments}))
            text = answers.readline(LARGEST_ANSWER)
        except TimeoutError:
            raise NoAgentError(
                f"The agent at {self._path} does not answer within {self._answer_time:g} s; see its log"
            ) from None
        except OSError:
            text = b""
        try:
            answer = json.loads(text)
            right = answer["version"] == VERSION
        except (ValueError, KeyError, TypeError):
            right, answer = False, {}
        if not text:
            raise NoAgentError(f"The agent at {self._path} closed the connection; see its log")
        if not right:
            raise PermanentError(f"What answers at {self._path} is not an agent of this release")
        if not answer.get("ok"):
            raise PermanentError(f"The agent refuses: {answer.get('error', 'without a reason')}")
        return answer.get("result")


class Following(Iterator[dict[str, Any]]):
    """Events from a moment on, until the agent stops or somebody has enough of them.

    Args:
        connection: To the agent.
        answers: What comes over it.
    """

    def __init__(self, connection: socket.socket, answers: BinaryIO) -> None:
        self._connection, self._answers = connection, answers

    def __next__(self) -> dict[str, Any]:
        """Wait for the next one."""
        text = _next_line(self._answers)
        if not text:
            raise StopIteration
        event: dict[str, Any] = json.loads(text)
        return event

    def stop(self) -> None:
        """No more are waited for: for a signal's handler."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def _next_line(answers: BinaryIO) -> bytes:
    """The next whole line; empty when the agent is gone."""
    try:
        text = answers.readline(LARGEST_ANSWER)
    except OSError:
        return b""
    return text if text.endswith(b"\n") else b""

"""HTTP to an engine behind ssh: this host's ssh client carries it, one process for each connection.

The client rather than a library: keys, agents, known hosts and jump hosts work as they do by hand, and nothing more is
loaded into the agent.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from watchtower_agent.engine.socket_transport import SocketConnection, SocketTransport
from watchtower_agent.engine.ssh import SshAddress, ssh_command
from watchtower_agent.engine.transport import WayError

KEPT: Final = 4
"""Idle connections kept: each is a process of 9 MiB. As many as there are questions for statistics at once."""

_WORDS: Final = 4096
"""Bytes of ssh's complaints that are read."""
_TOLD: Final = 300
"""Characters of them that are told."""
_PATIENCE: Final = 1.0
"""Seconds in which a client that has hung up, or was told to, ends."""

_REMEDIES: Final = (
    (
        "Host key verification failed",
        "compare the host's key and add it to known_hosts; the agent never accepts one by itself",
    ),
    ("Permission denied", "the agent needs a key without a passphrase, or an ssh agent, that may log in there"),
    ("docker: not found", "the docker CLI is needed there, it leads to the engine"),
    ("docker: command not found", "the docker CLI is needed there, it leads to the engine"),
)


class SshConnection(SocketConnection):
    """One connection.

    Args:
        address: Of the engine.
        config: The ssh client's configuration; None for the user's and the system's.
        timeout: Seconds for each part of an answer.
    """

    def __init__(self, address: SshAddress, config: Path | None, timeout: float) -> None:
        super().__init__("", timeout)
        self._address = address
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        """Start the client. Whether it gets through shows with the first answer."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                ours.settimeout(self.timeout)
                self._process = subprocess.Popen(  # noqa: S603 - no shell here, and no part can be taken for an option
                    ssh_command(self._address, config=self._config, timeout=self.timeout or 1.0),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is the agent's, and no terminal is there to ask somebody
                )
            except FileNotFoundError:
                ours.close()
                raise WayError("there is no ssh client on this host; install it (Debian: openssh-client)") from None
            except BaseException:
                ours.close()
                raise
        self.sock = ours

    def exchange(self, method: str, target: str, body: Mapping[str, object] | None) -> http.client.HTTPResponse:
        """As the class above.

        Raises:
            WayError: ssh has given up: why, in its words.
        """
        try:
            return super().exchange(method, target, body)
        except (ConnectionError, http.client.HTTPException) as error:
            if words := self._last_words():
                raise WayError(words) from error
            raise

    def end(self) -> None:
        """Close the connection, and end the client."""
        self.close()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()

    def _last_words(self) -> str:
        """What the client said before it ended; empty while it lives, or when it said nothing."""
        process = self._process
        if process is None or process.stderr is None:
            return ""
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return ""
        os.set_blocking(process.stderr.fileno(), False)  # a process that it left behind may hold the other end
        said = (process.stderr.read(_WORDS) or b"").decode("utf-8", "replace")
        text = " ".join(line for part in said.splitlines() if (line := _printable(part).strip(" @")))
        if not text:
            return ""
        remedy = next((f" ({remedy})" for sign, remedy in _REMEDIES if sign in text), "")
        told = text if len(text) <= _TOLD else f"… {text[-_TOLD:]}"  # what it ended of stands last
        return f"ssh says: {told}{remedy}"


def ssh_transport(address: SshAddress, config: Path | None) -> SocketTransport:
    """A transport over such connections."""
    return SocketTransport(partial(SshConnection, address, config), kept=KEPT)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)

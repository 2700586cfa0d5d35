"""What the command line and a running agent say to each other: one JSON object a line, over a unix socket.

A request is `{"version": 1, "command": …, "arguments": {…}}`, one a connection. The answer is
`{"version": 1, "ok": true, "result": {…}}` or `{"version": 1, "ok": false, "error": "a sentence"}`. After the answer to
`follow`, each further line is one event (`{"topic": …, "event": {…}}`) or `{"missed": n}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

VERSION: Final = 1
LARGEST_REQUEST: Final = 64 * 1024
"""Bytes."""
LARGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes."""
LONGEST_SOCKET_PATH: Final = 107
"""Bytes: Linux's sun_path less its end."""
COMMANDS: Final = (
    "status",
    "history",
    "top",
    "explain",
    "trigger",
    "revert",
    "prune",
    "metrics",
    "past",
    "lag",
    "follow",
    "reload",
    "pause",
    "resume",
    "approve",
    "reject",
)


def line(message: Mapping[str, object]) -> bytes:
    """A message as it goes over the socket."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"

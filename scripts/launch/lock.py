"""One at a time."""

from __future__ import annotations

import fcntl
import os
import pwd
from contextlib import ExitStack
from pathlib import Path

from scripts.launch.words import RefusalError, Status


def only_one(stack: ExitStack, file: Path, what: str) -> None:
    """Hold a file locked.

    Args:
        stack: Until this ends; no child inherits the lock.
        file: Has the id of the process that holds it.
        what: What that process does, for the words to another one.

    Raises:
        RefusalError: Another process holds it, or the file can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context(file.open("a+", encoding="utf-8"))
    except OSError:
        raise RefusalError(
            Status.ENVIRONMENT,
            f"{_user()} can't write {file}: run this as the user who owns that, "
            "or name another folder in WATCHTOWER_AGENT_STATE_DIR",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        other = lock.readline().strip() or "unknown"
        raise RefusalError(
            Status.ENVIRONMENT,
            f"{what} already, as process {other}; end that one first: Ctrl-C in its terminal, or kill {other}",
        ) from None
    lock.truncate(0)
    print(os.getpid(), file=lock, flush=True)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user of a container's, say
        return f"user {os.geteuid()}"

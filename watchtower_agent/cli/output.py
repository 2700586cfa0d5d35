"""What commands write: text or JSON to standard output, complaints for people to standard error."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

from watchtower_agent.cli.text import printable


def write(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_json(value: object, *, indent: int | None = 2) -> None:
    """A value for programs.

    Args:
        value: Of JSON's types.
        indent: None: on one line.
    """
    # ASCII only: nothing in it moves the cursor.
    write(json.dumps(value, indent=indent, default=str))


def complain(text: str) -> None:
    """What is wrong, for the person who asked."""
    for line in text.splitlines():
        sys.stderr.write(f"watchtower-agent: {printable(line)}\n")


def failure(text: str) -> dict[str, object]:
    """What is wrong, for programs: as the control socket and replies over MQTT have it."""
    # A path that was typed may hold bytes that are no text, which many programs refuse in JSON.
    return {"ok": False, "error": text.encode("utf-8", "backslashreplace").decode()}


def fail(text: str, code: int, *, as_json: bool) -> int:
    """Say why a command is not done; its exit code.

    Args:
        text: What is wrong, and what to do.
        code: The exit code.
        as_json: JSON was asked for: then this is all that the command answers.
    """
    if not as_json:
        complain(text)
        return code
    try:
        write_json(failure(text), indent=None)
    except BrokenPipeError:
        give_up_output()  # the exit code tells it still
    return code


def give_up_output() -> None:
    """Whoever read it has enough (`| head`): Python's own flush at the end must not complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ensure_output() -> None:
    """Whoever closed standard output or error (`>&-`) wants to see nothing of it."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - likewise


def is_of_output(error: OSError) -> bool:
    """Whether it says that the output can't be written: a full disk, a limit, a device that is gone.

    It names no file, and commands write nothing else: what the agent stores has its own ways out.
    """
    return error.filename is None and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

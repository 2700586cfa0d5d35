"""What commands write: text or JSON to standard output, complaints for people to standard error."""

from __future__ import annotations

import json
import os
import sys

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

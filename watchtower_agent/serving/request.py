"""Requests over the control socket: taken apart and checked; what is malformed is told by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.serving.protocol import COMMANDS, VERSION

_LONGEST_SHOWN: Final = 60
_EXAMPLE: Final = 'write one line like {"version": 1, "command": "status"}'


class RequestError(WatchtowerError):
    """A request that can't be answered; the text goes back to who asked."""


def parsed(text: bytes) -> tuple[str, Mapping[str, object]]:
    """Command and arguments of a request; what is malformed is told by its name."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(f"the request is not JSON; {_EXAMPLE}") from None
    if not isinstance(request, dict):
        raise RequestError(f"the request is {_kind(request)}, not an object; {_EXAMPLE}")
    if "version" not in request:
        raise RequestError(f"the request has no version; {_EXAMPLE}")
    version = request["version"]
    if not isinstance(version, int) or isinstance(version, bool):
        raise RequestError(f"the request's version is {_kind(version)}, not a number; {_EXAMPLE}")
    if version != VERSION:
        raise RequestError(
            f"the request is of version {version} and the agent speaks {VERSION}: "
            "agent and command line are of different releases"
        )
    known = f"the agent knows the commands {', '.join(COMMANDS)}"
    if "command" not in request:
        raise RequestError(f"the request has no command; {known}")
    command, arguments = request["command"], request.get("arguments", {})
    if not isinstance(command, str):
        raise RequestError(f"the request's command is {_kind(command)}, not a text; {known}")
    if command not in COMMANDS:
        raise RequestError(f"{command[:_LONGEST_SHOWN]!a} is not a command; {known}")
    if not isinstance(arguments, dict):
        raise RequestError(f"the request's arguments are {_kind(arguments)}, not an object")
    return command, arguments


def _kind(value: object) -> str:
    """What a value of JSON is, in a word."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"


def number(arguments: Mapping[str, object], name: str, *, usual: int, least: int, most: int) -> int:
    """An argument that is a whole number within bounds.

    Raises:
        RequestError: It is none.
    """
    value = arguments.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RequestError(f"{name} must be a number between {least} and {most}")
    return value


def text(arguments: Mapping[str, object], name: str) -> str | None:
    """An argument that is a name, None when it is not given.

    Raises:
        RequestError: It is something else.
    """
    value = arguments.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name} must be a name, not {_kind(value)}")
    return value


def flag(arguments: Mapping[str, object], name: str) -> bool:
    """An argument that is true or false, false when it is not given.

    Raises:
        RequestError: It is something else.
    """
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false, not {_kind(value)}")
    return value

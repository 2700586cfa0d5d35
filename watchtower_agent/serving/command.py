"""A command that came over MQTT: taken apart and checked; what is wrong is told by its name. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.serving.request import RequestError, text

LARGEST_COMMAND: Final = 64 * 1024
"""Bytes of a payload."""
ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "pause": frozenset({"policy", "target", "for", "reason"}),
    "resume": frozenset({"policy", "target"}),
    "approve": frozenset({"approval", "reason"}),
    "reject": frozenset({"approval", "reason"}),
    "trigger": frozenset({"policy", "target"}),
    "reload": frozenset(),
}
"""Of each command: what it may be given. None that only asks is among them: answers hold more than may leave a host."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_SHOWN: Final = 60
_EXAMPLE: Final = 'write an object like {"id": "1", "approval": "vgyn5h"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One that can be asked for.

    Attributes:
        name: Of `ARGUMENTS`.
        id: As its sender chose it; empty: no reply is wanted.
        arguments: Those that the command knows; what is in them is checked by `ask`.
    """

    name: str
    id: str
    arguments: Mapping[str, object]


def document(payload: bytes) -> Mapping[str, object]:
    """The object in a payload.

    Raises:
        RequestError: There is none.
    """
    if len(payload) > LARGEST_COMMAND:
        raise RequestError(f"the command is larger than {LARGEST_COMMAND // 1024} KiB")
    try:
        found = json.loads(payload.decode(), object_pairs_hook=_distinct, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise RequestError("the command is not UTF-8") from None
    except (ValueError, RecursionError):
        raise RequestError(f"the command is not JSON, or has a key twice; {_EXAMPLE}") from None
    if not isinstance(found, dict):
        raise RequestError(f"the command is not an object; {_EXAMPLE}")
    return found


def id_of(found: Mapping[str, object]) -> str:
    """The id that the sender gave it; empty without one.

    Raises:
        RequestError: It can't be the level of a topic.
    """
    given = found.get("id")
    if given is None:
        return ""
    if not isinstance(given, str) or _ID.fullmatch(given) is None:
        raise RequestError("the id must be a text of 1 to 64 letters, digits, _ and -; nobody can be told more")
    return given


def command(name: str, found: Mapping[str, object]) -> Command:
    """The command of that name with what it was given.

    Raises:
        RequestError: There is none of that name, it does not take that, or something is missing.
    """
    known = ARGUMENTS.get(name)
    if known is None:
        raise RequestError(f"there is no command {name[:_LONGEST_SHOWN]!a}; there are {', '.join(ARGUMENTS)}")
    arguments = {key: value for key, value in found.items() if key != "id"}
    unknown = next((key for key in arguments if key not in known), None)
    if unknown is not None:
        takes = f"takes {', '.join(sorted(known))} and id" if known else "takes an id and nothing else"
        raise RequestError(f"{name} {takes}, not {unknown[:_LONGEST_SHOWN]!a}; nothing was done")
    if name in {"approve", "reject"} and not (text(arguments, "approval") or "").strip():
        raise RequestError(f"{name} needs an approval, the id that was asked with")
    return Command(name=name, id=id_of(found), arguments=arguments)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Who says something twice may mean either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> object:
    """NaN and its like, which are no JSON."""
    raise ValueError

"""Files that Compose put into a container once it was made: another container like it would be without them. Pure.

A config with `content:` and a secret with `environment:` are no mounts, and no inspection names them. Compose copies
them in between making the container and starting it, from an archive, which knows the time by whole seconds. What a
process writes has the file system's time, by nanoseconds; what it unpacks has the time of its making.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable
from typing import Final

from watchtower_agent.engine.container import parse_time
from watchtower_agent.engine.fields import mapping, number, sequence, text

STAT: Final = "x-docker-container-path-stat"
"""The header that tells what a path of a container is, in small letters."""
MOST_LOOKED_AT: Final = 200
"""Files that are looked at: a container may have written millions."""
_MOST_CHANGES: Final = 100_000
_SECRETS: Final = "/run/secrets/"
_WITHIN: Final = 60.0
"""Seconds after a container was made within which Compose has put everything into it."""
_REMOVED: Final = 2
_NO_FILE: Final = 0x8F280000
"""Go's bits of a mode for whatever is no regular file: folders, links, pipes, sockets, devices."""


def looked_at(changes: object) -> tuple[str, ...]:
    """The paths that are worth to be looked at: secrets first, last those with very many beside them, as caches have.

    Args:
        changes: What the engine says differs from the image; nothing that is mounted is among it.
    """
    entries = map(mapping, sequence(changes)[:_MOST_CHANGES])
    paths = {text(entry.get("Path")) for entry in entries if entry.get("Kind") != _REMOVED} - {""}
    beside = Counter(_folder(path) for path in paths)
    files = [path for path in paths if path not in beside]
    files.sort(key=lambda path: (not path.startswith(_SECRETS), beside[_folder(path)], path))
    return tuple(files[:MOST_LOOKED_AT])


def _folder(path: str) -> str:
    return path[: path.rfind("/")]


def was_put_in(stat: str, created: object) -> bool:
    """Whether a file came into a container from an archive, right after that was made.

    Args:
        stat: What the engine says of it, as in its header `STAT`.
        created: When the container was made, as its inspection has it.
    """
    try:
        told = mapping(json.loads(base64.b64decode(stat)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    made, at, mode = parse_time(created), parse_time(told.get("mtime")), number(told.get("mode"))
    if made is None or at is None or mode is None or int(mode) & _NO_FILE:
        return False
    return "." not in text(told.get("mtime")) and int(made) <= at <= made + _WITHIN


def blocker(paths: Iterable[str]) -> str:
    """What stands against a clone where these were put in; empty where none was."""
    named = ", ".join(paths)
    if not named:
        return ""
    return (
        f"Compose put {named[:500]} into it, which its clone would be without: in its Compose file mount it (file:) "
        "in place of content: or environment:"
    )

"""What Home Assistant calls devices and entities: ids that never meet, proposed names that seldom do. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from watchtower_agent.publishing.topics import container_key

_LONGEST_LEVEL: Final = 60
_LONGEST_ENTITY_ID: Final = 200
"""Home Assistant takes 255, and appends a number where two are the same."""
_NOT_IN_LEVEL = re.compile(r"[^A-Za-z0-9-]")
_LOOKS_HASHED = re.compile(r"-[0-9a-f]{8}\Z")
_NOT_IN_ENTITY_ID = re.compile(r"[^a-z0-9]+")
_OF_THE_HOST: Final = frozenset({"agent", "engine", "policy", ""})
"""A container of whose name this is left would have entities called as the host's: it has events of the first three."""


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@lru_cache(maxsize=64)
def level(name: str) -> str:
    """A name without `_`, which stands between the parts of an id; distinct for distinct names."""
    safe = _NOT_IN_LEVEL.sub("-", name)
    if safe == name and len(name) <= _LONGEST_LEVEL and not _LOOKS_HASHED.search(name):
        return name
    return f"{safe[:_LONGEST_LEVEL]}-{_digits(name)}"


@lru_cache(maxsize=8192)
def _folded(text: str) -> str:
    """As it stands in an entity's id, where case is lost, and what is no letter or digit is `_`."""
    return _NOT_IN_ENTITY_ID.sub("_", text.lower()).strip("_")


def entity_id(platform: str, device: str, part: str) -> str:
    """What the entity of that device is to be called unless a person calls it otherwise."""
    return f"{platform}.{_folded(f'{device}_{part}')[-_LONGEST_ENTITY_ID:].strip('_')}"


def apart(name: str, beside: Iterable[str]) -> str:
    """The key of a container for `entity_id`; with eight digits where another one's, or the host's, would be the same.

    No key of a container ends with such digits unless they are those of its name: so none of the others meets it.

    Args:
        name: The container's.
        beside: Names of the containers that are there.
    """
    key = container_key(name)
    folded = _folded(key)
    alike = folded in _OF_THE_HOST or any(
        _folded(other) == folded and other != key for other in map(container_key, beside)
    )
    return f"{key}_{_digits(key)}" if alike else key

"""Where Podman's compatible API differs from the Docker Engine's. Pure.

Its events have other words and another order, and a stop that the container heeds at once is not told at all. Its id is
another one in each answer. Asked for events up to a moment that is past, it answers with some of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from watchtower_agent.engine.fields import mapping, sequence, text
from watchtower_agent.model.engine_event import EventKind

_NAMESPACE: Final = uuid.UUID("5b6c0f0e-9b62-4f0c-8a4e-3f6f0a4f1c55")

_WORDS: Final[Mapping[tuple[EventKind, str], str]] = {
    (EventKind.CONTAINER, "remove"): "destroy",
    (EventKind.CONTAINER, "died"): "die",
    (EventKind.CONTAINER, "exec"): "exec_start",
    (EventKind.CONTAINER, "exec_died"): "exec_die",
    (EventKind.IMAGE, "remove"): "delete",
    (EventKind.IMAGE, "loadfromarchive"): "load",
    (EventKind.VOLUME, "remove"): "destroy",
    (EventKind.NETWORK, "remove"): "destroy",
}
"""What a Docker Engine calls it."""

_OF_ITS_OWN: Final = frozenset({"init", "cleanup", "sync", "mount", "unmount", "recover", "refresh", "restored"})
"""Steps of a container's life of which a Docker Engine tells nothing. What comes of them is told besides."""

_ADDED: Final = frozenset({"podId", "containerExitCode", "containerInspectData"})
"""Attributes that would be taken for labels."""


def is_podman(version: object) -> bool:
    """Whether that answers.

    Args:
        version: Its answer to `/version`.
    """
    parts = sequence(mapping(version).get("Components"))
    return any(text(mapping(part).get("Name")).startswith("Podman") for part in parts)


def podman_id(name: str, data_root: str) -> str:
    """An id that stays the same, for one that has none: of its host's name and where it keeps its data."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}\0{data_root}"))


def docker_word(kind: EventKind, action: str) -> str:
    """What a Docker Engine calls it; empty where it tells nothing like that."""
    if kind is EventKind.CONTAINER and action in _OF_ITS_OWN:
        return ""
    return _WORDS.get((kind, action), action)


def docker_attributes(kind: EventKind, attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes without Podman's own, and the name where a Docker Engine has it."""
    kept = {key: value for key, value in attributes.items() if key not in _ADDED}
    if kind is not EventKind.CONTAINER and not kept.get("image"):
        kept.pop("image", None)
    if kind is EventKind.NETWORK and not kept.get("name"):
        kept["name"] = kept.get("network", "")
    return kept

"""What is kept of attributes and labels when there are too many of them, or too large ones. Pure.

An event's attributes mix the engine's own with the container's labels, in the alphabet's order: whoever stops at a
bound on the way loses the exit code to labels that begin with `a`. What the agent decides by is kept first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.engine_event import EventKind

_NODE = ("state", "role", "availability", "leader")
_SERVICE = ("replicas", "image", "updatestate")

OWN: Final[Mapping[EventKind, frozenset[str]]] = {
    EventKind.CONTAINER: frozenset(
        {"name", "image", "exitCode", "signal", "execDuration", "oldName", "execID", "health_status", "reclaimed"}
    ),
    EventKind.IMAGE: frozenset({"name", "reclaimed"}),
    EventKind.VOLUME: frozenset({"driver", "container", "destination", "propagation", "read/write", "reclaimed"}),
    EventKind.NETWORK: frozenset({"name", "type", "container", "reclaimed"}),
    EventKind.SERVICE: frozenset({"name", *(f"{fact}.{side}" for fact in _SERVICE for side in ("old", "new"))}),
    EventKind.NODE: frozenset({"name", *(f"{fact}.{side}" for fact in _NODE for side in ("old", "new"))}),
}
"""What the engine itself writes among an event's attributes, by kind. Always kept."""

_OWN_ELSEWHERE = frozenset({"name", "reclaimed"})
_OF_POLICIES = ("autoheal", "watchtower-agent.", "com.docker.compose.", "com.docker.swarm.", "io.kubernetes.")
"""How labels begin that guards, actions and the shipped policies go by. Kept before all other labels."""


def own_attributes(kind: EventKind) -> frozenset[str]:
    """What the engine itself writes among the attributes of an event of this kind."""
    return OWN.get(kind, _OWN_ELSEWHERE)


def bounded(given: Mapping[str, str], *, always: frozenset[str], most: int, total: int | None = None) -> dict[str, str]:
    """As many as fit, in the order given.

    Args:
        given: Names and values, each bounded.
        always: Names that are kept whatever the bounds say.
        most: How many are kept.
        total: Characters of names and values together that are kept; None: however many.

    Returns:
        Those always kept, then the labels that policies go by, then others: the short ones first.
    """
    size = sum(map(len, given)) + sum(map(len, given.values()))
    if len(given) <= most and (total is None or size <= total):
        return dict(given)
    kept: set[str] = set()
    taken = 0
    for name in sorted(given, key=lambda name: _rank(name, given[name], always)):
        length = len(name) + len(given[name])
        if name in always or (len(kept) < most and (total is None or taken + length <= total)):
            kept.add(name)
            taken += length
    return {name: value for name, value in given.items() if name in kept}


def _rank(name: str, value: str, always: frozenset[str]) -> tuple[bool, bool, int, str]:
    return name not in always, not name.startswith(_OF_POLICIES), len(name) + len(value), name

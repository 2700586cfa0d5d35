"""Whether a selector certainly selects all that another one does. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.policies.selector import Patterns, Selector

_EVERYTHING: Final = "*"


def covers(wide: Selector, narrow: Selector) -> bool:
    """Whether every container that the narrow one selects is selected by the wide one, whatever its status.

    False also where that can't be told: of two globs, or two labels, nobody knows.
    """
    if wide.exclude is not None and wide.exclude != narrow.exclude:
        return False
    pairs = (
        (wide.names, narrow.names),
        (wide.images, narrow.images),
        (wide.compose_project, narrow.compose_project),
        (wide.compose_service, narrow.compose_service),
        (wide.swarm_service, narrow.swarm_service),
        (wide.networks, narrow.networks),
        *((patterns, narrow.labels.get(key)) for key, patterns in wide.labels.items()),
    )
    every_name = wide.names is not None and _EVERYTHING in wide.names.texts
    return all(
        _patterns_cover(wide_ones, narrow_ones)
        for wide_ones, narrow_ones in pairs
        if wide_ones is not None and not (every_name and wide_ones is wide.names)
    )


def _patterns_cover(wide: Patterns, narrow: Patterns | None) -> bool:
    if narrow is None:
        return False
    every = _EVERYTHING in wide.texts
    return every or all(text in wide.texts or (narrow.name(text) and wide.match(text)) for text in narrow.texts)

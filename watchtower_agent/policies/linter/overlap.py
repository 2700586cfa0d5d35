"""Whether two selectors can pick the same container. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.scale import ScaleTarget, ServiceKind

_BEFORE: Final = re.compile(r"[^*?\[]*")
_BEHIND: Final = re.compile(r"[^*?\]]*$")
_MOST_PAIRS: Final = 10_000
"""Of patterns that are looked at one by one: of longer lists nothing is claimed."""
_NAME: Final = ""
"""Stands for the container's name among the keys of labels, none of which is empty."""
_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_SWARM_SERVICE: Final = "com.docker.swarm.service.name"


class Reach:
    """What a selector can pick, made ready to be compared with others.

    Attributes:
        selector: Picks.
    """

    __slots__ = ("_said", "selector")

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self._said: dict[str, list[Patterns]] = {}
        for key, patterns in _said(selector):
            self._said.setdefault(key, []).append(patterns)

    def apart(self, other: Reach) -> bool:
        """Whether certainly no container is picked by both, whatever its state and its networks are."""
        one, another = self.selector, other.selector
        return (
            any(
                _apart(first, second)
                for key in self._said.keys() & other._said.keys()
                for first, second in product(self._said[key], other._said[key])
            )
            or _images_apart(one.images, another.images)
            or _leaves_out(one, another)
            or _leaves_out(another, one)
        )


def replicas_of(target: ScaleTarget) -> Selector:
    """All containers of a service, as a policy would select them."""
    labels = dict(target.labels)
    if target.kind is ServiceKind.COMPOSE:
        labels |= {_PROJECT: target.project, _SERVICE: target.service}
    elif target.kind is ServiceKind.SWARM:
        labels[_SWARM_SERVICE] = target.service
    project, service, swarm_service = (labels.pop(key, None) for key in (_PROJECT, _SERVICE, _SWARM_SERVICE))
    return Selector(
        compose_project=None if project is None else Patterns((project,)),
        compose_service=None if service is None else Patterns((service,)),
        swarm_service=None if swarm_service is None else Patterns((swarm_service,)),
        labels={key: Patterns((value,)) for key, value in labels.items()},
    )


def _said(selector: Selector) -> Iterator[tuple[str, Patterns]]:
    """What is asked of names and labels, those labels among them by which a service is known."""
    yield from selector.labels.items()
    for key, patterns in (
        (_NAME, selector.names),
        (_PROJECT, selector.compose_project),
        (_SERVICE, selector.compose_service),
        (_SWARM_SERVICE, selector.swarm_service),
    ):
        if patterns is not None:
            yield key, patterns


def _apart(one: Patterns, other: Patterns) -> bool:
    first, second = one.globs, other.globs
    if not one.exact.isdisjoint(other.exact):
        return False
    if (second and any(map(other.match, one.exact))) or (first and any(map(one.match, other.exact))):
        return False
    if len(first) * len(second) > _MOST_PAIRS:
        return False
    return all(_begin_apart(a, b) or _end_apart(a, b) for a in first for b in second)


def _begin_apart(one: str, other: str) -> bool:
    first, second = (_BEFORE.match(text) for text in (one, other))
    assert first is not None
    assert second is not None
    a, b = first[0], second[0]
    return not (a.startswith(b) or b.startswith(a))


def _end_apart(one: str, other: str) -> bool:
    first, second = (_BEHIND.search(text) for text in (one, other))
    assert first is not None
    assert second is not None
    a, b = first[0], second[0]
    return not (a.endswith(b) or b.endswith(a))


def _images_apart(one: Patterns | None, other: Patterns | None) -> bool:
    """By their begins alone: a text without a tag matches every tag."""
    if one is None or other is None or len(one.texts) * len(other.texts) > _MOST_PAIRS:
        return False
    return all(_begin_apart(a, b) for a in one.texts for b in other.texts)


def _leaves_out(one: Selector, other: Selector) -> bool:
    """Whether what the one leaves out is all that the other picks."""
    left_out = one.exclude
    return left_out is not None and not left_out.statuses and covers(left_out, other)

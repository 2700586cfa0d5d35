"""Why a policy does not select a container: what each key of its selector asks for, and what it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.policies.selector import Patterns, Selector, repository

_MOST: Final = 4
"""Patterns or networks that are named."""
_LONGEST: Final = 60
"""Characters of a value."""


def mismatches(selector: Selector, container: Container) -> tuple[str, ...]:
    """What of the selector does not match, a sentence each; none when the policy selects the container."""
    return tuple(_found(selector, container))


def _found(selector: Selector, container: Container) -> Iterator[str]:
    yield from _of_itself(selector, container)
    yield from _of_labels(selector, container)
    images, networks = selector.images, selector.networks
    if images is not None and not (images.match(container.image) or images.match(repository(container.image))):
        yield f"image: it is {_cut(container.image)}, not {_any_of(images)}"
    if networks is not None and not any(map(networks.match, container.networks)):
        attached = _listed(sorted(map(_cut, container.networks))) if container.networks else "in none"
        yield f"networks: it is {attached}, not {_any_of(networks)}"
    if selector.exclude is not None and selector.exclude.matches(container):
        yield "not: it matches all that the policy excludes"


def _of_itself(selector: Selector, container: Container) -> Iterator[str]:
    if selector.statuses and container.status not in selector.statuses:
        is_now = container.status.value if container.status is not None else "not known"
        yield f"status: it is {is_now}, not {_listed(sorted(each.value for each in selector.statuses))}"
    if selector.names is not None and not selector.names.match(container.name):
        yield f"name: it is {_cut(container.name)}, not {_any_of(selector.names)}"


def _of_labels(selector: Selector, container: Container) -> Iterator[str]:
    for key, patterns in selector.labels.items():
        value = container.labels.get(key)
        if value is None:
            yield f"labels: it has no label {_cut(key)}"
        elif not patterns.match(value):
            yield f'labels: its {_cut(key)} is "{_cut(value)}", not {_any_of(patterns)}'
    for name, patterns_or_none, text in (
        ("compose.project", selector.compose_project, container.compose_project),
        ("compose.service", selector.compose_service, container.compose_service),
        ("swarm_service", selector.swarm_service, container.swarm_service),
    ):
        if patterns_or_none is not None and not (text and patterns_or_none.match(text)):
            yield f"{name}: it is {_cut(text) if text else 'of none'}, not {_any_of(patterns_or_none)}"


def _any_of(patterns: Patterns) -> str:
    return _listed([_cut(each) for each in patterns.texts])


def _listed(texts: list[str]) -> str:
    more = f" or {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return " or ".join(texts[:_MOST]) + more


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

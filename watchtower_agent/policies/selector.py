"""Selectors: which containers a policy is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from fnmatch import translate
from typing import Final, Protocol

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.values import dataclass

_WILD: Final = re.compile(r"[*?\[]")


class _Matches(Protocol):
    def __call__(self, text: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Patterns:
    """Any of some texts and globs (`*`, `?`, `[ab]`, `[!ab]`), upper and lower case told apart.

    Attributes:
        texts: As the policy has them.
    """

    texts: tuple[str, ...]
    _exact: frozenset[str] = field(init=False, repr=False, compare=False)
    _wild: _Matches | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact = frozenset(text for text in self.texts if not _WILD.search(text))
        wild = "|".join(f"(?:{translate(text)})" for text in self.texts if text not in exact)
        # Frozen: the compiled forms are derived once, here.
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_wild", re.compile(wild).match if wild else None)

    @property
    def exact(self) -> frozenset[str]:
        """Those without a wildcard."""
        return self._exact

    @property
    def globs(self) -> tuple[str, ...]:
        """Those with one, in the order of writing."""
        return tuple(text for text in self.texts if text not in self._exact) if self._wild is not None else ()

    def match(self, text: str) -> bool:
        """Whether one of them is this text."""
        return text in self._exact or (self._wild is not None and bool(self._wild(text)))

    def name(self, text: str) -> bool:
        """Whether one of them is this text without a wildcard."""
        return text in self._exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All keys that are given must match; a key with several patterns matches by any of them.

    Attributes:
        names: Of the container.
        images: As the container names it; a pattern without tag or digest matches any of them.
        labels: Key -> its value. A label that the container does not have never matches.
        compose_project: Of Compose.
        compose_service: Of Compose.
        swarm_service: The service whose task the container is.
        networks: It is attached to one that matches.
        statuses: The engine's states.
        exclude: What must not match.
    """

    names: Patterns | None = None
    images: Patterns | None = None
    labels: Mapping[str, Patterns] = field(default_factory=dict)
    compose_project: Patterns | None = None
    compose_service: Patterns | None = None
    swarm_service: Patterns | None = None
    networks: Patterns | None = None
    statuses: frozenset[ContainerStatus] = frozenset()
    exclude: Selector | None = None
    _checks: tuple[Callable[[Container], bool], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_checks", tuple(self._compile()))

    def matches(self, container: Container) -> bool:
        """Whether the policy is about this container."""
        for check in self._checks:  # noqa: SIM110 - asked of every container at every tick: a generator doubles the price
            if not check(container):
                return False
        return True

    def names_exactly(self, container: Container) -> bool:
        """Whether it picks this container by an exact name or label, rather than only by wildcards or broad keys.

        Compose and Swarm services are labels that name one workload; a project, an image or a network is broad.
        """
        return self.matches(container) and (
            (self.names is not None and self.names.name(container.name))
            or any(patterns.name(container.labels.get(key, "")) for key, patterns in self.labels.items())
            or (self.compose_service is not None and self.compose_service.name(container.compose_service))
            or (self.swarm_service is not None and self.swarm_service.name(container.swarm_service))
        )

    def _compile(self) -> Iterable[Callable[[Container], bool]]:
        """The given keys alone, the cheapest first."""
        if self.statuses:
            yield lambda container: container.status in self.statuses
        if (names := self.names) is not None:
            yield lambda container: names.match(container.name)
        for key, patterns in self.labels.items():
            yield _label_check(key, patterns)
        for patterns_or_none, read in (
            (self.compose_project, lambda container: container.compose_project),
            (self.compose_service, lambda container: container.compose_service),
            (self.swarm_service, lambda container: container.swarm_service),
        ):
            if patterns_or_none is not None:
                yield _text_check(patterns_or_none, read)
        if (images := self.images) is not None:
            yield lambda container: images.match(container.image) or images.match(repository(container.image))
        if (networks := self.networks) is not None:
            yield lambda container: any(map(networks.match, container.networks))
        if (exclude := self.exclude) is not None:
            yield lambda container: not exclude.matches(container)


class Choice:
    """Whom a selector picks of all containers, worked out anew only when one of them changed: they are frozen values.

    Args:
        selector: Picks.
    """

    __slots__ = ("_containers", "_picked", "selector")

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self._containers: list[Container] = []
        self._picked: list[int] = []

    def among(self, containers: list[Container]) -> Sequence[int]:
        """The indexes of those it picks. The list must not change afterwards."""
        if containers != self._containers:
            self._containers = containers
            self._picked = [index for index, container in enumerate(containers) if self.selector.matches(container)]
        return self._picked


def repository(image: str) -> str:
    """An image's name without tag and digest: `registry:5000/web:1.2` is `registry:5000/web`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _label_check(key: str, patterns: Patterns) -> Callable[[Container], bool]:
    def check(container: Container) -> bool:
        value = container.labels.get(key)
        return value is not None and patterns.match(value)

    return check


def _text_check(patterns: Patterns, read: Callable[[Container], str]) -> Callable[[Container], bool]:
    def check(container: Container) -> bool:
        text = read(container)
        return bool(text) and patterns.match(text)

    return check

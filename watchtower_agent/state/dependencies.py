"""Which containers need which others: by Compose's `depends_on`, and by a network that is another container's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.state.record import ContainerRecord

_DEPENDS_ON: Final = "com.docker.compose.depends_on"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_JOB: Final = "service_completed_successfully"
_SHARES: Final = "container:"
_MOST: Final = 256
"""Services that a label is read for: more than any file has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that a container needs.

    Attributes:
        name: Of the service or the container, for people.
        ids: The containers that are it: any of them will do. Empty only for a network whose container is gone.
        network: It is needed for its network.
        job: It is a job that runs to its end, rather than something that stays.
    """

    name: str
    ids: tuple[str, ...]
    network: bool = False
    job: bool = False


class Dependencies:
    """The needs of the containers of one moment; to be made anew when any of them has changed.

    What a label names and nobody runs is no need: Compose lets parts of a project be left out. Two that need each
    other, be it through others, have no order: none of them is a need of the other.

    Args:
        containers: By id.
    """

    def __init__(self, containers: Mapping[str, ContainerRecord]) -> None:
        self._containers = containers
        self._services: dict[tuple[str, str], list[str]] | None = None
        self._names: dict[str, str] = {}
        self._direct: dict[str, tuple[Need, ...]] = {}
        self._reached: dict[str, frozenset[str]] = {}

    def of(self, container_id: str) -> list[Need]:
        """All that a container needs, also through others: the nearest first."""
        found: dict[Need, None] = {}
        seen, waiting = {container_id}, [container_id]
        for one in waiting:
            for need in self._needs(one):
                if container_id not in need.ids and not any(container_id in self._reach(each) for each in need.ids):
                    found[need] = None
                new = [each for each in need.ids if each not in seen]
                seen.update(new)
                waiting.extend(new)
        return list(found)

    def depth(self, container_id: str) -> int:
        """Less for whatever a container needs than for the container itself: who is acted on first."""
        return len(self.of(container_id))

    def _reach(self, container_id: str) -> frozenset[str]:
        """Ids of all that it needs, by whatever way, itself among them only if there is a circle."""
        known = self._reached.get(container_id)
        if known is None:
            reached: set[str] = set()
            waiting = [container_id]
            for one in waiting:
                new = {each for need in self._needs(one) for each in need.ids} - reached
                reached |= new
                waiting.extend(new)
            known = self._reached[container_id] = frozenset(reached)
        return known

    def _needs(self, container_id: str) -> tuple[Need, ...]:
        known = self._direct.get(container_id)
        if known is None:
            record = self._containers.get(container_id)
            known = self._direct[container_id] = tuple(self._read(record.container)) if record is not None else ()
        return known

    def _read(self, container: Container) -> Iterator[Need]:
        if container.network_mode.startswith(_SHARES):
            wanted = container.network_mode.removeprefix(_SHARES)
            owner = self._find(wanted)
            name = self._containers[owner].container.name if owner else wanted[:12]
            yield Need(name=name, ids=(owner,) if owner else (), network=True)
        label, project = container.labels.get(_DEPENDS_ON, ""), container.compose_project
        if not label or not project or container.labels.get(_ONE_OFF, "").lower() == "true":
            return
        for entry in label.split(",")[:_MOST]:
            service, _, condition = entry.strip().partition(":")
            ids = self._by_service().get((project, service), [])
            if ids:
                yield Need(name=service, ids=tuple(ids), job=condition.partition(":")[0] == _JOB)

    def _find(self, wanted: str) -> str:
        """The id of a container by id or name; empty when there is none."""
        if wanted in self._containers:
            return wanted
        self._by_service()
        return self._names.get(wanted, "")

    def _by_service(self) -> dict[tuple[str, str], list[str]]:
        if self._services is None:
            self._services = {}
            for container_id, record in self._containers.items():
                container = record.container
                self._names[container.name] = container_id
                project, service = container.compose_project, container.compose_service
                if project and service and container.labels.get(_ONE_OFF, "").lower() != "true":
                    self._services.setdefault((project, service), []).append(container_id)
        return self._services

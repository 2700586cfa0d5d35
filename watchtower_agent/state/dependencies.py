"""Which containers need which others: by Compose's `depends_on`, and by a network that is another container's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.values import dataclass
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
        restarts: Who needs it is to be restarted when it was: Compose's `restart: true`.
        by_policy: A policy's `depends` says so.
    """

    name: str
    ids: tuple[str, ...]
    network: bool = False
    job: bool = False
    restarts: bool = False
    by_policy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The containers that a policy's `depends` picks.

    Attributes:
        needs: By id.
        own: Ids of those that the policy acts on itself.
        ailing: Id -> what is wrong with it, of those that are not well.
    """

    needs: Mapping[str, Need]
    own: frozenset[str]
    ailing: Mapping[str, str]


def ailment(container: Container) -> str:
    """What is wrong with what others need, in a word or two; empty when it is well."""
    if container.status is not ContainerStatus.RUNNING:
        return container.status.value if container.status is not None else "not known yet"
    return "" if container.health in {Health.NONE, Health.HEALTHY} else container.health.value


class Dependencies:
    """The needs of the containers of one moment.

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
        self._all: dict[str, tuple[Need, ...]] = {}
        self._reached: dict[str, frozenset[str]] = {}
        self._picked: dict[str, Picked] = {}

    def of(self, container_id: str) -> tuple[Need, ...]:
        """All that a container needs, also through others: the nearest first."""
        known = self._all.get(container_id)
        if known is None:
            known = self._all[container_id] = self._found(container_id)
        return known

    def _found(self, container_id: str) -> tuple[Need, ...]:
        found: dict[Need, None] = {}
        seen, waiting = {container_id}, [container_id]
        for one in waiting:
            for need in self._needs(one):
                if container_id not in need.ids and not any(container_id in self._reach(each) for each in need.ids):
                    found[need] = None
                new = [each for each in need.ids if each not in seen]
                seen.update(new)
                waiting.extend(new)
        return tuple(found)

    def direct(self, container_id: str) -> Iterator[str]:
        """Ids of all that it needs itself, not through others, also where they need it back."""
        return (each for need in self._needs(container_id) for each in need.ids)

    def followers(self, container_id: str) -> Iterator[tuple[str, Need]]:
        """Whom it takes along that a container was brought back, each with why.

        A network that others use ends with the life of its container, and they stay in what is left of it; the
        processes of both are not told. Compose's `restart: true` says the same of a service; while other containers of
        it stayed up, nobody has lost it. Who has been started since is up to date.
        """
        root = self._containers.get(container_id)
        if root is None or root.started is None:
            return
        for each, record in self._containers.items():
            for need in self._needs(each):
                if container_id not in need.ids or each in self._reach(container_id) or each == container_id:
                    continue
                before = self._network_since(container_id) if need.network else root.started
                takes_along = need.network or (need.restarts and len(need.ids) == 1)
                if takes_along and before is not None and record.started is not None and record.started < before:
                    yield each, need
                    break

    def _network_since(self, container_id: str) -> float | None:
        """When the network that a container has, be it another's, began; None for the host's, and where it is gone."""
        seen: set[str] = set()
        while container_id in self._containers and container_id not in seen:
            seen.add(container_id)
            record = self._containers[container_id]
            mode = record.container.network_mode
            if not mode.startswith(_SHARES):
                return None if mode == "host" else record.started
            container_id = self._find(mode.removeprefix(_SHARES))
        return None

    def picked(self, policy: str, picks: Callable[[Container], bool], selects: Callable[[Container], bool]) -> Picked:
        """The containers that a policy's `depends` picks, and how they are at this moment: worked out once in it.

        Args:
            policy: Its name.
            picks: Whether it depends on a container.
            selects: Whether it acts on a container.
        """
        known = self._picked.get(policy)
        if known is None:
            picked = [record.container for record in self._containers.values() if picks(record.container)]
            known = self._picked[policy] = Picked(
                needs={each.id: Need(name=each.name, ids=(each.id,), by_policy=True) for each in picked},
                own=frozenset(each.id for each in picked if selects(each)),
                ailing={each.id: wrong for each in picked if (wrong := ailment(each))},
            )
        return known

    def pick_anew(self) -> None:
        """Another moment: containers, or who picks among them, may have changed, though what they need has not."""
        self._picked.clear()

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
            service, _, how = entry.strip().partition(":")
            condition, _, restarts = how.partition(":")
            ids = self._by_service().get((project, service), [])
            if ids:
                yield Need(name=service, ids=tuple(ids), job=condition == _JOB, restarts=restarts.lower() == "true")

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


class LatestDependencies:
    """Those of the containers as they are: worked out anew only when what they are read from has changed."""

    def __init__(self) -> None:
        self._known: tuple[list[tuple[object, ...]], Dependencies] | None = None

    def of(self, containers: Mapping[str, ContainerRecord]) -> Dependencies:
        """What these containers need."""
        present = _fingerprint(containers)
        if self._known is None or self._known[0] != present:
            self._known = present, Dependencies(containers)
        self._known[1].pick_anew()
        return self._known[1]


def _fingerprint(containers: Mapping[str, ContainerRecord]) -> list[tuple[object, ...]]:
    """All that needs are read from. Comparing two is quick: what did not change is the same object."""
    known = ((container_id, record.container) for container_id, record in containers.items())
    return [(container_id, each.name, each.network_mode, each.labels) for container_id, each in known]

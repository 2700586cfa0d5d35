"""What is known of services beyond the containers of this host: the Swarm's word, siblings' metrics, readings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.observation import ReadingObserved, ServicesObserved, SiblingObserved
from watchtower_agent.model.service import Judgement, SwarmService
from watchtower_agent.model.values import dataclass

CURRENT_SERVICES: Final = 10.0
"""Seconds for which the Swarm's word counts. It is asked every 2 s."""
_CURRENT_BATCHES: Final = 3.0
"""Intervals of a sibling's batches for which the newest counts."""
_LONGEST_INTERVAL: Final = 10.0
"""Seconds that such an interval counts for at most, whatever the batch says of itself: of scaled services one comes
every 5 s."""
_MOST_HOSTS: Final = 1000
"""Siblings that are remembered; a Swarm has fewer."""


@dataclass(slots=True)
class Services:
    """Part of HostState. All moments are on the monotonic clock."""

    _swarm: dict[str, SwarmService] = field(default_factory=dict)
    _asked: frozenset[str] = frozenset()
    _asked_at: float | None = None
    _leads: bool = False
    _readings: dict[str, ReadingObserved] = field(default_factory=dict)
    _siblings: dict[str, SiblingObserved] = field(default_factory=dict)
    _means: dict[str, dict[str, Mapping[str, float]]] = field(default_factory=dict)
    """Host -> id of a container there -> its means in that host's newest batch."""

    def apply(self, seen: ServicesObserved | ReadingObserved | SiblingObserved) -> None:
        """Take in what the Swarm says, a metric from outside, or a batch of another host's agent: the newest counts."""
        match seen:
            case ServicesObserved():
                self._swarm = {each.name: each for each in seen.services}
                self._asked, self._asked_at, self._leads = seen.asked, seen.moment, seen.leads
            case ReadingObserved():
                self._readings[seen.name] = self._with_reading(seen)
            case SiblingObserved():
                self._apply_sibling(seen)

    def _with_reading(self, seen: ReadingObserved) -> ReadingObserved:
        before = self._readings.get(seen.name)
        # What a broker had kept comes at each new connection, also when something newer was heard since.
        if before is not None and None not in {before.value, seen.value}:
            return before if seen.moment - seen.age < before.moment - before.age else seen
        keeps = seen.silent and before is not None and before.value is not None
        return replace(before, why=seen.why) if before is not None and keeps else seen

    def _apply_sibling(self, seen: SiblingObserved) -> None:
        if seen.host not in self._siblings and len(self._siblings) >= _MOST_HOSTS:
            oldest = min(self._siblings, key=lambda host: self._siblings[host].moment)
            del self._siblings[oldest], self._means[oldest]
        self._siblings[seen.host] = seen
        self._means[seen.host] = {each.container_id: each.means for each in seen.replicas}

    def keep_readings(self, names: frozenset[str]) -> None:
        """Policies have changed: forget what nobody asks about."""
        self._readings = {name: each for name, each in self._readings.items() if name in names}

    @property
    def asked_at(self) -> float | None:
        """When the Swarm was asked; None when it never was."""
        return self._asked_at

    def asked_ago(self, now: float) -> float | None:
        """Seconds since the Swarm was asked; None when it never was."""
        return None if self._asked_at is None else max(0.0, now - self._asked_at)

    def leads(self, now: float) -> bool:
        """Whether the engine here led the Swarm when it was last asked, and that was lately."""
        ago = self.asked_ago(now)
        return self._leads and ago is not None and ago <= CURRENT_SERVICES

    def swarm_service(self, name: str, now: float) -> SwarmService | None:
        """What the Swarm says of a service; None when that is not known, or too old."""
        ago = self.asked_ago(now)
        return self._swarm.get(name) if ago is not None and ago <= CURRENT_SERVICES else None

    def is_absent(self, name: str, now: float) -> bool:
        """Whether the Swarm was asked about a service lately, and has no replicated one of that name."""
        ago = self.asked_ago(now)
        return ago is not None and ago <= CURRENT_SERVICES and name in self._asked and name not in self._swarm

    def last_labels(self, name: str) -> Mapping[str, str]:
        """The labels of a Swarm's service as they were last seen."""
        service = self._swarm.get(name)
        return {} if service is None else service.labels

    def means_elsewhere(self, container_id: str, node_id: str, now: float) -> Mapping[str, float]:
        """What the agent of a container's node told of it: `avg(cpu.percent_of_limit, 20s)` and the like -> value.

        A node speaks through one host. Where two say that they are it, one of them is wrong, and neither is believed.
        """
        hosts = [host for host, each in self._siblings.items() if each.node == node_id and _is_current(each, now)]
        return self._means[hosts[0]].get(container_id, {}) if len(hosts) == 1 else {}

    def judgement(self, service_id: str, now: float) -> tuple[Judgement, float] | None:
        """What the agent of the Swarm's leader makes of a service, and when it said so; None: it did not lately."""
        found: tuple[Judgement, float] | None = None
        for sibling in self._siblings.values():
            for each in sibling.judgements if _is_current(sibling, now) else ():
                if each.service_id == service_id and (found is None or each.version > found[0].version):
                    found = each, sibling.moment
        return found

    def reading(self, name: str) -> ReadingObserved | None:
        """The newest reading of a metric from outside."""
        return self._readings.get(name)


def _is_current(sibling: SiblingObserved, now: float) -> bool:
    return now - sibling.moment <= _CURRENT_BATCHES * min(sibling.interval, _LONGEST_INTERVAL)

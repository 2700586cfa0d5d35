"""For how long the containers of scaled services have been well. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.strategies.scale import ScaleTarget
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.wellness import is_well


@dataclass(slots=True)
class ReplicaWellness:
    """One that is well when it is first seen may have been so since it began; else since it was seen to be.

    Attributes:
        state: The host.
    """

    state: HostState
    _since: dict[tuple[str, int], float] = field(default_factory=dict)
    """Container and life -> since when it has been well, on the monotonic clock."""
    _looked_before: bool = False

    def follow(self, targets: Sequence[ScaleTarget], now: Instant) -> None:
        """Look at the containers of these services, as they are at this sample."""
        since: dict[tuple[str, int], float] = {}
        for container_id, record in self.state.containers.items() if targets else ():
            if is_well(record) and any(target.has(record.container) for target in targets):
                life = container_id, record.restarts
                before = self._since.get(life)
                if before is None:
                    up = self.state.uptime(record, now)
                    before = now.monotonic - (up or 0.0) if not self._looked_before else now.monotonic
                since[life] = before
        self._since = since
        self._looked_before = self._looked_before or bool(targets and self.state.engine.listed)

    def lasts(self, record: ContainerRecord, now: Instant) -> float | None:
        """Seconds for which that container has been well; None while it is not."""
        since = self._since.get((record.container.id, record.restarts))
        return None if since is None else max(0.0, now.monotonic - since)

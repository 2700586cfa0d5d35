"""For how long containers have been well without a break, as far as the agent saw. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field
from typing import Final

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

RUNNING_FOR: Final = 10.0
"""Seconds after which a container without a health check counts as well."""


@dataclass(frozen=True, slots=True)
class _Spell:
    life: tuple[str, int]
    """The container's id and how often it has been started: a restart ends the spell, however short it was."""
    since: Instant


@dataclass(slots=True)
class Wellness:
    """Follows some containers, by name. What was not seen to be well was not: an outage of the engine ends a spell."""

    _spells: dict[str, _Spell] = field(default_factory=dict)

    def look(self, names: Collection[str], state: HostState, now: Instant) -> None:
        """See how they are now.

        Args:
            names: Whom to follow; all others are forgotten.
            state: The host.
            now: The present.
        """
        spells: dict[str, _Spell] = {}
        known = {spell.life: spell for spell in self._spells.values()}  # by life: a rename ends no spell
        if names and state.engine.connected and state.engine.listed:
            for record in state.containers.values():
                name = record.container.name
                if name in names and is_well(record):
                    life = record.container.id, record.restarts
                    spells[name] = known.get(life) or _Spell(life, now)
        self._spells = spells

    def since(self, name: str) -> Instant | None:
        """Since when that container has been well; None when it is not, or not followed."""
        spell = self._spells.get(name)
        return None if spell is None else spell.since


def is_well(record: ContainerRecord) -> bool:
    """Running, and by its own health check healthy if it has one."""
    container = record.container
    inspected = container.detail is not None
    return (
        inspected and container.status is ContainerStatus.RUNNING and container.health in {Health.HEALTHY, Health.NONE}
    )

"""Which containers have failed lately, by themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from watchtower_agent.model.container import Health
from watchtower_agent.model.engine_event import EngineEvent, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.record import ContainerRecord

_NOT_ITS_OWN = frozenset({EndCause.AGENT, EndCause.OPERATOR})


def is_failure(event: EngineEvent, record: ContainerRecord) -> bool:
    """Whether an event, applied already, says that its container died or became unhealthy by itself.

    What a person or the agent ended did not fail, nor did what ended with exit code 0: it had nothing more to do.
    """
    match event.action:
        case "die":
            return record.end_cause not in _NOT_ITS_OWN and record.exit_code != 0
        case "health_status":
            return record.container.health is Health.UNHEALTHY
        case _:
            return False


@dataclass(slots=True)
class Failures:
    """When each container last failed, by id, as far back as it is of interest."""

    at: dict[str, Instant] = field(default_factory=dict)

    def take(self, event: EngineEvent, record: ContainerRecord, now: Instant, *, age: float) -> bool:
        """Take an event in that was applied to the record; says whether it tells of a failure.

        Args:
            event: Of the engine.
            record: Of its container.
            now: The present.
            age: Seconds since the event.
        """
        if not is_failure(event, record):
            return False
        # Only what was missed is told late. When the engine does not say when that was, it is as of now.
        age = age if event.origin is Origin.REPLAY else 0.0
        self.at[event.actor_id] = Instant(wall=event.time, monotonic=now.monotonic - age, boot=now.boot)
        return True

    def since(self, moment: float) -> Iterator[str]:
        """Ids of those that have failed since then, on the monotonic clock."""
        return (container_id for container_id, at in self.at.items() if at.monotonic >= moment)

    def forget(self, moment: float) -> list[str]:
        """Forget those that have not failed since then, on the monotonic clock. Gives their ids."""
        over = [container_id for container_id, at in self.at.items() if at.monotonic < moment]
        for container_id in over:
            del self.at[container_id]
        return over

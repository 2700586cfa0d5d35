"""A container has another name: what guards count for it goes on counting. Pure."""

from __future__ import annotations

from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.pausing import Pausing
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.state.record import ContainerRecord


def renamed(old: str, record: ContainerRecord, decisions: Decisions, pausing: Pausing, now: Instant) -> None:
    """Take what goes by name along to the new one; whoever gets the old name finds it there still.

    Args:
        old: The container's name before.
        record: Of the container, under its new name.
        decisions: What is counted, and what waits.
        pausing: What keeps still.
        now: The present.
    """
    container = record.container
    decisions.agenda.renamed(container.id, container.name)
    decisions.approving.approvals.renamed(container.id, container.name)
    earlier = tuple(decisions.breaking.ledger.renames.of(old))
    # Of a swap that nobody heard, both are called the same for a moment.
    if earlier and any(each.container.name == old for each in decisions.state.containers.values()):
        earlier = ()
    rename = Rename(container_id=container.id, old=old, new=container.name, earlier=earlier)
    decisions.cooling.renamed(rename)
    pausing.renamed(rename, now)
    pauses = Paused(scope=PauseScope.CONTAINER, name=old) in pausing.pauses.by
    decisions.breaking.renamed(rename, now, else_known=pauses or decisions.cooling.cooldowns.known(old))

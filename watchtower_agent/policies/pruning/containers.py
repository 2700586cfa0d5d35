"""Which containers may be deleted: those that ended long ago and that nobody will start again. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.disk_usage import DiskUsage, KeptContainer
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import COMPOSE_ONE_OFF, COMPOSE_PROJECT, is_marked, is_orchestrated
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Circumstances
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.judgement import Judgement, Reason
from watchtower_agent.policies.pruning.rules import ContainerRules

ENDED: Final = frozenset({"exited", "dead"})
"""States in which a container is after its end."""


def judged(
    rules: ContainerRules, disk: DiskUsage, circumstances: Circumstances, now: Instant
) -> tuple[tuple[Item, ...], tuple[Kept, ...]]:
    """What becomes of the containers: those that ended first come first, then the largest."""
    judgement = Judgement(Kind.CONTAINER, rules.finished_for)
    joined = {each: container.name for container in disk.containers for each in container.joins}
    for container in disk.containers:
        stamp, size = container.finished_at, container.size
        unused = 0.0 if stamp is None else circumstances.age(stamp, now)
        found = _protection(container, circumstances)
        if found is None and (by := joined.get(container.id) or joined.get(container.name)):
            found = (Protection.CONTAINER, by)
        if found is None and unused < rules.finished_for:
            found = (Protection.RECENT, "")
        if found is None:
            judgement.delete(container.id, container.name, size=size, unused=unused, stamp=stamp)
        else:
            known = None if stamp is None else unused
            judgement.keep(container.id, container.name, found, size=size, unused=known)
    return judgement.by_idleness()


def _protection(container: KeptContainer, circumstances: Circumstances) -> Reason | None:
    if circumstances.is_own(container.id):
        return Protection.OWN, ""
    if container.status not in ENDED:
        return (Protection.NEVER_ENDED if container.status == "created" else Protection.RUNNING), container.status
    if is_marked(container.labels):
        return Protection.LABEL, ""
    if is_orchestrated(container.labels):
        return Protection.ORCHESTRATOR, ""
    project = container.labels.get(COMPOSE_PROJECT)
    if project is not None and container.labels.get(COMPOSE_ONE_OFF, "").lower() != "true":
        return Protection.COMPOSE, project
    return (Protection.NEVER_ENDED, "") if container.finished_at is None else None

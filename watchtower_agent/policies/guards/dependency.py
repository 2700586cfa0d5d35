"""Whether what a container needs comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.state.dependencies import Need
from watchtower_agent.state.record import ContainerRecord

_MOST: Final = 3
"""Needs that are named."""


def dependency(q: Question) -> Held | None:
    """What a container needs is acted on before it, and it follows once that is well."""
    if q.record is None:
        return None
    name = q.record.container.name
    unwell: list[tuple[Need, str]] = []
    for need in q.dependencies.of(q.record.container.id):
        if not need.ids:
            if q.decision.verb in ATTEMPTS:
                return _gone(q, name, need)
            continue
        if why := _unwell(q, need):
            unwell.append((need, why))
    if not unwell:
        return None
    first, why = unwell[0]
    words = [f"{need.name} ({why})" for need, why in unwell[:_MOST]]
    if len(unwell) > _MOST:
        words.append(f"{len(unwell) - _MOST} more")
    how = "uses the network of" if first.network and len(unwell) == 1 else "depends on"
    return q.hold(
        Guard.DEPENDENCY,
        f"{name} {how} {_joined(words)}: {'that comes' if len(unwell) == 1 else 'these come'} first",
        numbers={"dependency": first.name, "dependency_is": why, "dependencies_not_well": len(unwell)},
    )


def _gone(q: Question, name: str, need: Need) -> Held:
    return q.hold(
        Guard.DEPENDENCY,
        f"{name} uses the network of a container that is not there any more ({need.name}): it can't be started until "
        "it is created anew",
        numbers={"dependency": need.name, "dependency_is": "removed", "dependencies_not_well": 1},
    )


def _unwell(q: Question, need: Need) -> str:
    """What is wrong with a need, in a word or two; empty when one of those that are it is well."""
    wrong = [_wrong(q, record, need) for record in _records(q, need)]
    return wrong[0] if wrong and all(wrong) else ""


def _records(q: Question, need: Need) -> Iterator[ContainerRecord]:
    return (q.state.containers[each] for each in need.ids if each in q.state.containers)


def _wrong(q: Question, record: ContainerRecord, need: Need) -> str:
    container = record.container
    if q.under_way(container.id):
        return "being acted on"
    if need.job:
        # Whether it went well was asked when the project was started; only one at work may change what it prepares.
        return "at work" if container.status is ContainerStatus.RUNNING else ""
    if container.status is not ContainerStatus.RUNNING:
        return container.status.value if container.status is not None else "not known yet"
    if container.health in {Health.NONE, Health.HEALTHY}:
        return ""
    return container.health.value


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

"""Whether what a container needs comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.state.dependencies import Need, Picked, ailment
from watchtower_agent.state.record import ContainerRecord

_MOST: Final = 3
"""Needs that are named."""
_BUSY: Final = "being acted on"


def dependency(q: Question) -> Held | None:
    """What a container needs is acted on before it, and it follows once that is well."""
    if q.record is None:
        return None
    name, told = q.record.container.name, q.dependencies.of(q.record.container.id)
    if q.decision.verb in ATTEMPTS and (gone := next((need for need in told if not need.ids), None)) is not None:
        return _gone(q, name, gone)
    unwell = [(need, why) for need in told if (why := _unwell(q, need)) and not _needs_it_back(q, need)]
    unwell += _unwell_by_policy(q, q.record.container, told)
    if not unwell:
        return None
    first, why = unwell[0]
    words = [f"{need.name} ({why})" for need, why in unwell[:_MOST]]
    if len(unwell) > _MOST:
        words.append(f"{len(unwell) - _MOST} more")
    how = "uses the network of" if first.network and len(unwell) == 1 else "depends on"
    if all(need.by_policy for need, _ in unwell):
        how = f"by policy {q.policy.name} depends on"
    return q.hold(
        Guard.DEPENDENCY,
        f"{name} {how} {_joined(words)}: {'that comes' if len(unwell) == 1 else 'these come'} first",
        numbers={"dependency": first.name, "dependency_is": why, "dependencies_not_well": len(unwell)},
    )


def dependency_passes(q: Question) -> Passed:
    """It needs nothing, or what it needs is well."""
    needs = _needs(q, q.record.container) if q.record is not None else ()
    if not needs:
        return Passed(reason="it needs no other container", numbers={"dependencies": 0})
    words = [f"{need.name} ({_said(q, need)})" for need in needs]
    if len(words) > _MOST:
        words[_MOST:] = [f"{len(words) - _MOST} more"]
    return Passed(
        reason=f"nothing that it needs keeps it waiting: {_joined(words)}", numbers={"dependencies": len(needs)}
    )


def _said(q: Question, need: Need) -> str:
    if not need.ids:
        return "there is none"
    if _unwell(q, need):
        return "which needs it, too"
    return "a job" if need.job else "well"


def _needs_it_back(q: Question, need: Need) -> bool:
    """Of those in a circle, by Compose or by what policies depend on, each would wait for ever for the next."""
    return not q.circles.of(q.decision.target.id).isdisjoint(need.ids)


def _needs(q: Question, container: Container) -> tuple[Need, ...]:
    told = q.dependencies.of(container.id)
    return (*told, *_by_policy(q, container, told))


def _by_policy(q: Question, container: Container, told: Sequence[Need]) -> Iterator[Need]:
    """What the policy itself says and is not told already. Two of its targets that would wait for each other do not."""
    if q.policy.depends:
        picked, known = _picked(q), _known(container, told)
        mutual = container.id in picked.needs
        for each, need in picked.needs.items():
            if each not in known and not (mutual and each in picked.own):
                yield need


def _unwell_by_policy(q: Question, container: Container, told: Sequence[Need]) -> Iterator[tuple[Need, str]]:
    """Those of them that are not well and don't need the container back: among hundreds only these are looked at."""
    if not q.policy.depends:
        return
    picked, known = _picked(q), _known(container, told)
    mutual = container.id in picked.needs
    busy = not picked.needs.keys().isdisjoint(q.under_way)
    ailing = {
        each: _BUSY if each in q.under_way else picked.ailing[each]
        for each in (picked.needs if busy else picked.ailing)
        if (each in picked.ailing or each in q.under_way) and each not in known and not (mutual and each in picked.own)
    }
    if ailing:
        together = q.circles.of(container.id)
        yield from ((picked.needs[each], why) for each, why in ailing.items() if each not in together)


def _picked(q: Question) -> Picked:
    return q.dependencies.picked(q.policy.name, q.policy.picks_needs, q.policy.selects)


def _known(container: Container, told: Sequence[Need]) -> set[str]:
    return {container.id, *(need.ids[0] for need in told if len(need.ids) == 1)}


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
    if container.id in q.under_way:
        return _BUSY
    if need.job:
        # Whether it went well was asked when the project was started; only one at work may change what it prepares.
        return "at work" if container.status is ContainerStatus.RUNNING else ""
    return ailment(container)


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

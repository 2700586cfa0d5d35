"""Actions on containers on which the engine has nothing to do, or refuses it: a start of what runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.policies.conditions.tree import Name
from watchtower_agent.policies.linter.doubt import Doubt, asked
from watchtower_agent.policies.linter.logic import Case, Values, about, cases, clash
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger, WhenTrigger

_UP: Final = frozenset({ContainerStatus.RUNNING, ContainerStatus.PAUSED})
_DOWN: Final = frozenset({ContainerStatus.CREATED, ContainerStatus.EXITED, ContainerStatus.DEAD})
_EVERY: Final = frozenset(ContainerStatus)
_OF_USE: Final[Mapping[Verb, frozenset[ContainerStatus]]] = {
    Verb.START: _EVERY - _UP,
    Verb.UNPAUSE: frozenset({ContainerStatus.PAUSED}),
    Verb.PAUSE: _EVERY - _DOWN - {ContainerStatus.PAUSED},
    Verb.STOP: _EVERY - _DOWN,
    Verb.KILL: _EVERY - _DOWN,
}
"""The states in which the engine has something to do for it."""
_OF_WHAT_RUNS: Final = frozenset(
    (EventKind.CONTAINER, action) for action in ("start", "restart", "unpause", "health_status")
)
_REMEDY: Final[Mapping[Verb, str]] = {
    Verb.START: 'write restart, or ask for status == "exited"',
    Verb.UNPAUSE: 'ask for status == "paused"',
}


def does_nothing(policy: Policy) -> Iterator[Doubt]:
    """Actions that the condition, the event or the selector only ever wants of containers that don't need it."""
    verb, trigger = policy.then.verb, policy.trigger
    if verb is None or verb not in _OF_USE or policy.selector is None:
        return
    match trigger:
        case WhenTrigger():
            every = [case for case in cases(asked(policy) or trigger.condition.tree) or () if not clash(case)]
            in_vain, key = bool(every) and not any(_may_be(case, verb) for case in every), "when"
            remedy = _REMEDY.get(verb, 'ask for status == "running"')
        case OnTrigger():
            in_vain, key = verb is Verb.START and bool(trigger.events) and trigger.events <= _OF_WHAT_RUNS, "on"
            remedy = "write restart, or on: {container: die}"
        case ScheduleTrigger():
            statuses = policy.selector.statuses
            in_vain, key = bool(statuses) and not statuses & _OF_USE[verb], "select"
            remedy = "leave status out of select, or do something else"
        case _:
            return
    if in_vain:
        yield Doubt(
            policy=policy,
            path=(key,),
            message=f"this is only ever about containers to which {verb} is of no use: the engine does nothing, or "
            "refuses",
            remedy=remedy,
        )


def _may_be(case: Case, verb: Verb) -> bool:
    """Whether it can be true of a container for which the engine has something to do."""
    status = Values(among=frozenset(str(each) for each in _OF_USE[verb]))
    for part in about(case, "status"):
        status = status.narrowed(part)
    if not status.any:
        return False
    return verb is not Verb.START or not _is_of_what_runs(case)


def _is_of_what_runs(case: Case) -> bool:
    """Whether a part of it is true of running containers alone: of others nothing is measured, or checked."""
    checked = Values(among=frozenset({str(Health.NONE)}))
    for part in about(case, "health"):
        checked = checked.narrowed(part)
    return not checked.any or any(_is_measured(part.reference) for part in case)


def _is_measured(reference: object) -> bool:
    entry = CATALOGUE.get(reference.name) if isinstance(reference, Name) else None
    return entry is not None and entry.scope is Scope.CONTAINER and (entry.sampled or entry.name == "uptime")

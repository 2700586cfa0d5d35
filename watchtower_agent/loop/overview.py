"""What the agent knows at this moment, for people who look: one page of `top`. Pure.

A page holds so many containers and no more, and every text in it is cut: what is asked once a second costs the same
on a host of 4,000 containers as on one of 40, but for putting them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from enum import StrEnum
from typing import Final

from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.past import trend
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.readings import ENGINE_NAMES, HOST_NAMES, LONGEST_VALUE, comparison_json, cut, json_value
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Mode
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.closeness import closeness, rank
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

MOST_ROWS: Final = 200
"""Containers of one page."""
_RANKED_AT_ONCE, _ROWS_AT_ONCE = 100, 20
_MOST_WATCHERS, _MOST_COMPARISONS = 5, 4
_LONGEST_NAME, _LONGEST_SENTENCE = 120, 300
"""Characters. With all of them used up and nothing but emoji a page stays below what an answer may have."""

_SHOWN: Final = (
    *("cpu.percent", "cpu.percent_of_limit", "cpu.throttled", "memory.working_set", "memory.limit", "memory.percent"),
    *("memory.oom_kills", "pressure.cpu", "pressure.memory", "pressure.io"),
    *("network.receive", "network.transmit", "io.read", "io.write", "pids"),
)


class Sort(StrEnum):
    """By what the containers are put in order; the first is the one that matters most."""

    POLICY = "policy"
    CPU = "cpu"
    MEMORY = "memory"
    PRESSURE = "pressure"
    RESTARTS = "restarts"
    UPTIME = "uptime"
    NETWORK = "network"
    IO = "io"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which containers are asked for.

    Attributes:
        sort: Their order.
        backwards: The other way round. What is not known stays last.
        offset: How many of the first are left out.
        limit: How many at most; never more than `MOST_ROWS`.
    """

    sort: Sort = Sort.POLICY
    backwards: bool = False
    offset: int = 0
    limit: int = MOST_ROWS


def overview(pipeline: Pipeline, page: Page, now: Instant) -> Generator[None, None, dict[str, object]]:
    """One page of `top`: host, engine, policies, and so many containers.

    Yields where whoever asks may let others go first: no more than a millisecond or two is between.

    Returns:
        The page.
    """
    state, decisions = pipeline.state, pipeline.decisions
    policies = [policy for policy in pipeline.policies.policies if policy.mode is not Mode.OFF]
    of_containers = [policy for policy in policies if _is_of_containers(policy)]
    of_host = [policy for policy in policies if not _is_of_containers(policy)]
    records = yield from _in_order(state, decisions, of_containers, page, now)
    rows = []
    for number, record in enumerate(records[page.offset : page.offset + min(page.limit, MOST_ROWS)]):
        rows.append(_row(state, decisions, of_containers, record, now))
        if number % _ROWS_AT_ONCE == _ROWS_AT_ONCE - 1:
            yield
    host = HostSubject(state, now)
    firing, counting = decisions.conditions.counts()
    return {
        "at": now.wall,
        "host": {name: json_value(host.value(name)) for name in HOST_NAMES},
        "engine": {name: json_value(host.value(name)) for name in ENGINE_NAMES}
        | {
            "version": state.engine.info.version[:LONGEST_VALUE] if state.engine.info else None,
            "since": state.engine.since or None,
            "last_error": cut(state.engine.last_error, _LONGEST_SENTENCE) or None,
        },
        "policies": {
            "in_force": len(policies),
            "firing": firing,
            "counting": counting,
            "held": sum(1 for waiting in decisions.agenda.waiting.values() if waiting.held is not None),
            "problems": pipeline.problem_count,
        },
        "watchers": _watchers(decisions, of_host, host, "", now),
        "total": len(records),
        "offset": page.offset,
        "sort": page.sort.value,
        "containers": rows,
    }


def _row(
    state: HostState, decisions: Decisions, policies: Iterable[Policy], record: ContainerRecord, now: Instant
) -> dict[str, object]:
    container, subject = record.container, ContainerSubject(state, now, record)
    watching = [policy for policy in policies if _watches(policy, container)]
    operator = record.operator
    return {
        "id": container.id,
        "name": cut(container.name, _LONGEST_NAME),
        "image": cut(container.image, _LONGEST_NAME),
        "status": json_value(subject.value("status")),
        "health": json_value(subject.value("health")),
        "exit_code": json_value(subject.value("exit_code")),
        "restarts": record.restarts,
        "restarts_by_agent": record.restarts_by_agent,
        "uptime": json_value(subject.value("uptime")),
        "operator_action": operator.action if operator else None,
        "values": {name: json_value(subject.value(name)) for name in _SHOWN},
        "trend": trend(state, container.id, now),
        "watched_by": len(watching),
        "watchers": _watchers(decisions, watching, subject, container.id, now),
    }


# --- order --------------------------------------------------------------------------------------------------------


def _in_order(
    state: HostState, decisions: Decisions, policies: list[Policy], page: Page, now: Instant
) -> Generator[None, None, list[ContainerRecord]]:
    records = sorted(state.containers.values(), key=lambda record: (record.container.name, record.container.id))
    if page.sort is Sort.NAME:
        return records[::-1] if page.backwards else records
    by_policy = page.sort is Sort.POLICY
    read = _by_policy(state, decisions, policies, now) if by_policy else _measured(state, page.sort, now)
    keyed = []
    for number, record in enumerate(records):
        keyed.append((read(record), record))
        if number % _RANKED_AT_ONCE == _RANKED_AT_ONCE - 1:
            yield
    known = [(key, record) for key, record in keyed if key is not None]
    # Sorting keeps the order by name among equals.
    known.sort(key=lambda pair: pair[0], reverse=(page.sort is not Sort.UPTIME) is not page.backwards)
    return [record for _, record in known] + [record for key, record in keyed if key is None]


def _by_policy(
    state: HostState, decisions: Decisions, policies: list[Policy], now: Instant
) -> Callable[[ContainerRecord], tuple[float, float] | None]:
    """The closest first; among those that nothing is near to, whoever uses most CPU."""
    conditions = [(policy, policy.selector) for policy in policies if isinstance(policy.trigger, WhenTrigger)]

    def read(record: ContainerRecord) -> tuple[float, float]:
        container, subject = record.container, ContainerSubject(state, now, record)
        ranks = [
            _rank(decisions, policy, subject, container.id, now)
            for policy, selector in conditions
            if selector is not None and selector.matches(container)
        ]
        return max(ranks, default=-1.0), state.metric(container.id, "cpu.percent", now) or 0.0

    return read


def _measured(state: HostState, sort: Sort, now: Instant) -> Callable[[ContainerRecord], float | None]:
    """The most first; of uptimes the shortest."""
    names = {
        Sort.CPU: ("cpu.percent",),
        Sort.MEMORY: ("memory.percent",),
        Sort.PRESSURE: ("pressure.cpu", "pressure.memory", "pressure.io"),
        Sort.NETWORK: ("network.receive", "network.transmit"),
        Sort.IO: ("io.read", "io.write"),
    }
    if sort is Sort.RESTARTS:
        return lambda record: record.restarts
    if sort is Sort.UPTIME:
        return lambda record: state.uptime(record, now)
    joined = max if sort is Sort.PRESSURE else sum

    def read(record: ContainerRecord) -> float | None:
        numbers = [state.metric(record.container.id, name, now) for name in names[sort]]
        known = [number for number in numbers if number is not None]
        return joined(known) if known else None

    return read


# --- policies -----------------------------------------------------------------------------------------------------


def _is_of_containers(policy: Policy) -> bool:
    """Whether containers are what it watches: those that it selects, or the replicas of a service."""
    return policy.selector is not None or isinstance(policy.trigger, ScaleStrategy)


def _watches(policy: Policy, container: Container) -> bool:
    """Whether it selects the container, or scales the service of which that is a replica."""
    if isinstance(policy.trigger, ScaleStrategy):
        return policy.trigger.target.has(container)
    return policy.selector is not None and policy.selector.matches(container)


def _rank(decisions: Decisions, policy: Policy, subject: HostSubject, target_id: str, now: Instant) -> float:
    """How close it is to firing; -1 for one that is set off by events."""
    if not isinstance(policy.trigger, WhenTrigger):
        return -1.0
    standing = decisions.conditions.standing(policy.name, target_id, now)
    return rank(policy.trigger.condition.tree, subject, hold=policy.trigger.hold, standing=standing)


def _watchers(
    decisions: Decisions, policies: Iterable[Policy], subject: HostSubject, target_id: str, now: Instant
) -> list[dict[str, object]]:
    """The policies that watch a target, the closest to firing first; those set off by events after them."""
    ranked = sorted(policies, key=lambda policy: -_rank(decisions, policy, subject, target_id, now))
    return [_watcher(decisions, policy, subject, target_id, now) for policy in ranked[:_MOST_WATCHERS]]


def _watcher(
    decisions: Decisions, policy: Policy, subject: HostSubject, target_id: str, now: Instant
) -> dict[str, object]:
    verb, trigger = policy.then.verb, policy.trigger
    if isinstance(trigger, ScaleStrategy):
        target_id = trigger.target.key
    key = (policy.name, f"{'act' if verb is not None else 'notify'}:{target_id}")
    waiting = decisions.agenda.waiting.get(key)
    held = waiting.held if waiting is not None else None
    begun = decisions.under_way.on(target_id)
    watcher: dict[str, object] = {
        "policy": cut(policy.name, _LONGEST_NAME),
        "mode": policy.mode.value,
        "does": verb.value if verb is not None else "notify",
        "guard": held.guard.value if held else None,
        "guard_reason": cut(held.reason, _LONGEST_SENTENCE) if held else None,
        "release_at": held.release_at if held else None,
        "under_way": begun is not None and begun.decision.policy == policy.name,
    }
    if isinstance(trigger, ScheduleTrigger):
        return watcher | {"on": [f"schedule {trigger.schedule}"]}
    if isinstance(trigger, OnTrigger):
        return watcher | {"on": sorted(f"{kind} {action}" for kind, action in trigger.events)[:_MOST_COMPARISONS]}
    if not isinstance(trigger, WhenTrigger):
        return watcher | {"on": ["every sample"]}
    standing = decisions.conditions.standing(policy.name, target_id, now)
    close = closeness(trigger.condition.tree, subject, hold=trigger.hold, standing=standing)
    return watcher | {
        "true": close.truth,
        "firing": close.firing,
        "closeness": close.ratio,
        "held_for": round(close.held_for, 3),
        "for": close.hold,
        "comparisons": [comparison_json(each) for each in close.comparisons[:_MOST_COMPARISONS]],
        "comparisons_left_out": max(0, len(close.comparisons) - _MOST_COMPARISONS),
    }

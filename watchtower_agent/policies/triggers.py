"""Events as triggers: `on` + `where`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Edge, Mode, Number, Target, TargetKind
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.policies.conditions.subject import ContainerSubject, EventSubject, HostSubject
from watchtower_agent.policies.making import PENDING_FOR, container_target, decisions_of
from watchtower_agent.policies.policy import OnTrigger, Policy, PolicySet
from watchtower_agent.policies.wording import because_of_event
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord, integer, own_attribute

TRIGGER_WITHIN = 5 * 60.0
"""Seconds after which a replayed or synthetic event triggers nothing any more."""


def triggered(
    policies: PolicySet,
    state: HostState,
    event: EngineEvent | Notice | Edge,
    record: ContainerRecord | None,
    correlation_id: str,
    now: Instant,
) -> Iterable[Decision]:
    """What the policies want done about one event.

    Args:
        policies: Those in force.
        state: The host, the event applied.
        event: Of the engine, or the agent's own.
        record: The container the event is about, also when the event ended it.
        correlation_id: Of the event.
        now: When the agent handles it.
    """
    notice = _as_notice(event) if isinstance(event, Edge) else event
    if isinstance(notice, EngineEvent) and not _may_trigger(notice, state, record, now):
        return
    for policy in policies.policies:
        trigger = policy.trigger
        if policy.mode is Mode.OFF or not isinstance(trigger, OnTrigger):
            continue
        if not trigger.events & {(notice.kind, notice.action), (notice.kind, "*")}:
            continue
        where = _where(policy, state, record, now)
        if where is None:
            continue
        subject = EventSubject(where, notice, now)
        if trigger.where is not None and not trigger.where.evaluate(subject):
            continue
        numbers: dict[str, Number] = trigger.where.numbers(subject) if trigger.where else {}
        yield from _event_decisions(policy, notice, record, numbers, correlation_id, state.host, now)


def _may_trigger(event: EngineEvent, state: HostState, record: ContainerRecord | None, now: Instant) -> bool:
    """A live event always; one that was missed only while it is fresh and still true."""
    if event.origin not in {Origin.REPLAY, Origin.SYNTHETIC}:
        return True
    return (state.age(event.time, now) or 0.0) <= TRIGGER_WITHIN and still_true(event, record, now)


def _where(policy: Policy, state: HostState, record: ContainerRecord | None, now: Instant) -> HostSubject | None:
    """Whom the filter is asked about; None when the policy selects other containers than the event's."""
    if record is None:
        return HostSubject(state, now) if policy.selector is None else None
    if policy.selector is not None and not policy.selector.matches(record.container):
        return None
    return ContainerSubject(state, now, record)


def _event_decisions(
    policy: Policy,
    event: EngineEvent | Notice,
    record: ContainerRecord | None,
    numbers: dict[str, Number],
    correlation_id: str,
    host: str,
    now: Instant,
) -> Iterator[Decision]:
    target = container_target(record) if record is not None else Target(kind=TargetKind.HOST, name=host)
    if isinstance(event, EngineEvent):
        where = policy.trigger.where if isinstance(policy.trigger, OnTrigger) else None
        cause_id, what = event.id, because_of_event(event, record, where, numbers)
        numbers = {**_facts_of(event, record), **numbers}
    else:
        cause_id, what = correlation_id, event.reason
    yield from decisions_of(
        policy, target, record, what, numbers, correlation_id, cause_id, now, expires_at=now.wall + PENDING_FOR
    )


def _facts_of(event: EngineEvent, record: ContainerRecord | None) -> dict[str, Number]:
    container = record.container if record is not None else None
    facts: dict[str, Number] = {}
    if (code := integer(own_attribute(event, container, "exitCode"))) is not None:
        facts["exit_code"] = code
    if signal := own_attribute(event, container, "signal"):
        facts["signal"] = signal[:32]
    return facts


def _as_notice(edge: Edge) -> Notice:
    return Notice(
        kind=EventKind.POLICY,
        action="firing" if edge.firing else "resolved",
        subject=edge.policy,
        severity=edge.severity,
        reason=edge.reason,
        data={"policy": edge.policy, "target": edge.target.name},
        at=edge.at,
        correlation_id=edge.correlation_id,
    )


def still_true(event: EngineEvent, record: ContainerRecord | None, now: Instant) -> bool:
    """Whether what an event said still holds of its container. Events about other things stay true."""
    if event.kind is not EventKind.CONTAINER or record is None:
        return event.kind is not EventKind.CONTAINER
    status = record.container.status
    match event.action:
        case "die" | "stop":
            true = not record.container.running
        case "health_status":
            true = record.container.running and record.container.health.value == event.detail
        case "oom" | "kill":
            # It happened to that life of the container, which may go on.
            started = record.comparable_start(now.wall)
            true = started is None or started <= event.time
        case "start" | "restart" | "unpause":
            true = status is ContainerStatus.RUNNING
        case "pause":
            true = status is ContainerStatus.PAUSED
        case _:
            true = True
    return true

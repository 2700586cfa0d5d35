"""Conditions that fire for a target: they begin, want something of it meanwhile, and cease. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Decision, Edge, Number, Severity, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.making import digest, notification, parameters
from watchtower_agent.policies.policy import Policy, WhenTrigger
from watchtower_agent.policies.tracked import Tracked, lasted
from watchtower_agent.policies.wording import because_of_condition
from watchtower_agent.state.record import ContainerRecord

_ABOUT_HEALTH = frozenset({"health", "health.failing_streak"})


def began(policy: Policy, trigger: WhenTrigger, tracked: Tracked, now: Instant) -> Edge:
    """It fires from now on."""
    held_for = max(0.0, now.monotonic - tracked.since.monotonic)
    return Edge(
        policy=policy.name,
        target=tracked.target,
        firing=True,
        severity=policy.then.notify.severity if policy.then.notify else Severity.WARNING,
        reason=because_of_condition(trigger.condition, tracked.numbers, held_for=held_for, hold=trigger.hold),
        numbers=tracked.numbers,
        since=tracked.since.wall,
        at=now.wall,
        correlation_id=tracked.correlation_id,
        cause_id=tracked.cause_id,
    )


def ceased(policy: str, tracked: Tracked, why: str, now: Instant) -> Edge:
    """It fires no more. `why` is for people."""
    return Edge(
        policy=policy,
        target=tracked.target,
        firing=False,
        severity=Severity.INFO,
        reason=why,
        numbers=tracked.numbers,
        since=tracked.since.wall,
        at=now.wall,
        correlation_id=tracked.correlation_id,
    )


def wanted(
    policy: Policy,
    target: Target,
    record: ContainerRecord | None,
    tracked: Tracked,
    now: Instant,
    interval: float,
    edges: Sequence[Edge],
) -> Iterator[Decision]:
    """What a policy wants of a target while its condition fires there: to act at every tick, to tell once.

    Args:
        policy: Whose.
        target: Whom.
        record: Of the target; None of the host.
        tracked: What is remembered of the condition and the target.
        now: The tick.
        interval: Seconds between samples.
        edges: What this tick has changed there.
    """
    trigger = policy.trigger
    if not tracked.firing or not isinstance(trigger, WhenTrigger):
        return
    for edge in edges:
        if edge.firing and policy.then.notify is not None:
            yield notification(policy, target, edge.reason, edge.numbers, edge.correlation_id, "", now)
    if policy.then.verb is None or tracked.unknown_since is not None or tracked.ended is not None:
        return
    begun = tracked.begun()
    held_for = now.monotonic - begun.monotonic
    if not lasted(held_for, trigger.hold, interval):
        return
    yield Decision(
        id=digest("decision", policy.name, target.id, tracked.correlation_id, repr(begun.wall)),
        policy=policy.name,
        target=target,
        verb=policy.then.verb,
        reason=because_of_condition(trigger.condition, tracked.numbers, held_for=held_for, hold=trigger.hold),
        numbers={**tracked.numbers, "true_for": round(held_for, 3), "for": trigger.hold, **_keeps(trigger)},
        parameters=parameters(policy, record),
        correlation_id=tracked.correlation_id,
        cause_id=tracked.cause_id,
        decided_at=now.wall,
        expires_at=now.wall + 2 * interval,
    )


def cause_id(trigger: WhenTrigger, subject: HostSubject) -> str:
    """The event behind a condition: of what conditions ask about, only a health check's verdict comes by an event."""
    if not isinstance(subject, ContainerSubject) or _ABOUT_HEALTH.isdisjoint(trigger.condition.names):
        return ""
    return subject.record.unhealthy_by if subject.record.container.health is Health.UNHEALTHY else ""


def _keeps(trigger: WhenTrigger) -> dict[str, Number]:
    return {"keep_for": trigger.keep} if trigger.keep else {}

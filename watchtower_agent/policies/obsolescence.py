"""When what waits is not wanted any more. Pure."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.decision import TargetKind, Verb
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.triggers import still_true
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.record import ContainerRecord


def obsolete(
    waiting: Waiting,
    policy: Policy,
    record: ContainerRecord | None,
    now: Instant,
    fires: Callable[[str, str], bool],
) -> str:
    """Why a waiting decision is not wanted any more; empty while it is.

    Args:
        waiting: What waits.
        policy: As it is now.
        record: Of the target, when it is a container that is there.
        now: The present.
        fires: Whether a policy's condition still fires for a target id.
    """
    decision = waiting.decision
    target = decision.target
    if decision.verb is Verb.NOTIFY:
        return _old_news(waiting, policy, record, now)
    if policy.then.verb is not decision.verb and not (decision.last_resort and policy.budget.stops):
        return f"policy {decision.policy} does not {decision.verb} any more"
    if target.kind is TargetKind.CONTAINER and record is None:
        return f"{target.name} was removed"
    if record is not None and policy.selector is not None and not policy.selector.matches(record.container):
        return f"policy {decision.policy} does not select {target.name} any more"
    if decision.from_event:
        return overtaken(waiting, record, now)
    return "" if fires(decision.policy, target.id) else "its condition does not hold any more"


def _old_news(waiting: Waiting, policy: Policy, record: ContainerRecord | None, now: Instant) -> str:
    """Why a notification is not worth telling any more; empty while it is."""
    event = waiting.event
    if policy.then.notify is None:
        return f"policy {policy.name} does not notify any more"
    if now.wall > waiting.decision.expires_at:
        return _too_old(waiting, now)
    missed = event is not None and event.origin in {Origin.REPLAY, Origin.SYNTHETIC}
    if event is not None and missed and record is not None and not still_true(event, record, now):
        return f"{waiting.decision.target.name} has changed since"
    return ""


def _too_old(waiting: Waiting, now: Instant) -> str:
    return f"it waited for {(now.wall - waiting.since) / 60:.0f} min"


def overtaken(waiting: Waiting, record: ContainerRecord | None, now: Instant) -> str:
    """Why a decision from an event came too late; empty while it did not."""
    decision = waiting.decision
    if now.wall > decision.expires_at:
        return _too_old(waiting, now)
    if record is None:
        return ""
    name = record.container.name
    if waiting.event is not None and not still_true(waiting.event, record, now):
        return f"{name} has been {'started' if record.container.running else 'stopped'} meanwhile"
    begun = record.started if record.started is not None and now.may_be_past(record.started) else None
    cause = waiting.event.time if waiting.event is not None else decision.decided_at
    if decision.verb in {Verb.RESTART, Verb.START} and begun is not None and begun > cause:
        return f"{name} has been started meanwhile"
    return ""

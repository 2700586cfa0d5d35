"""Making a decision: whom it is about, with which parameters, under which id. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Guard, Mode, Number, Severity, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.quantities import LONGEST_STOP
from watchtower_agent.state.record import ContainerRecord

PENDING_FOR = 15 * 60.0
"""Seconds for which a decision from an event waits for its guards."""

PACED: Final = frozenset({Guard.BACKOFF, Guard.BREAKER, Guard.BUDGET, Guard.SHARED_CAUSE})
"""What these hold is waited for beyond that, for as long again from the moment at which they let it pass."""

STOP_TIMEOUT_LABEL = "autoheal.stop.timeout"


def container_target(record: ContainerRecord) -> Target:
    """The record's container as a decision's target."""
    return Target(kind=TargetKind.CONTAINER, id=record.container.id, name=record.container.name)


DATA_ROOT: Final = "data-root"
"""Id of the target of what is pruned: one thing at a time is done to that."""
ENGINE: Final = "engine"
"""Id of the target of a restart of the engine: likewise."""
_PARTS_OF_HOST: Final[Mapping[Verb | None, str]] = {Verb.PRUNE: DATA_ROOT, Verb.RESTART_ENGINE: ENGINE}


def host_target(policy: Policy, host: str) -> Target:
    """The host as the target of a policy that selects nothing."""
    return Target(kind=TargetKind.HOST, id=_PARTS_OF_HOST.get(policy.then.verb, ""), name=host)


def digest(*parts: str) -> str:
    """A deterministic id over some texts, of the form that the ids of engine events have."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def stop_timeout(policy: Policy, record: ContainerRecord | None) -> float | None:
    """Seconds between stop signal and KILL: the policy's, else the container's label, else None for its own."""
    wanted = policy.then.parameters.get("stop_timeout")
    if isinstance(wanted, int | float):
        return float(wanted)
    return labelled_stop_timeout(record)


def labelled_stop_timeout(record: ContainerRecord | None) -> float | None:
    """Seconds between stop signal and KILL by the container's label; None for its own."""
    label = record.container.labels.get(STOP_TIMEOUT_LABEL, "") if record else ""
    if label.isascii() and label.isdecimal() and len(label) < 9:  # noqa: PLR2004 - longer is no number of seconds
        return min(float(label), LONGEST_STOP)
    return None


def parameters(policy: Policy, record: ContainerRecord | None) -> dict[str, Number]:
    """The verb's own parameters, a label of the container among them."""
    given = dict(policy.then.parameters)
    if policy.then.verb in {Verb.RESTART, Verb.STOP}:
        given["stop_timeout"] = stop_timeout(policy, record)
    return given


def decisions_of(
    policy: Policy,
    target: Target,
    record: ContainerRecord | None,
    reason: str,
    numbers: Mapping[str, Number],
    correlation_id: str,
    cause_id: str,
    now: Instant,
    *,
    expires_at: float,
) -> Iterator[Decision]:
    """What a policy wants of a target because something happened: its action, and a notification.

    Args:
        policy: Which was set off.
        target: Whom it is about.
        record: What is known of it; None for the host.
        reason: What happened, for people.
        numbers: The facts behind it.
        correlation_id: Of the story.
        cause_id: What happened: the same cause never makes two decisions of a policy on a target.
        now: When this is decided.
        expires_at: Until when it waits for its guards, seconds since the epoch.
    """
    if policy.then.verb is not None:
        yield Decision(
            id=digest("decision", policy.name, target.id, cause_id),
            policy=policy.name,
            target=target,
            verb=policy.then.verb,
            reason=reason,
            numbers=numbers,
            parameters=parameters(policy, record),
            correlation_id=correlation_id,
            cause_id=cause_id,
            from_event=True,
            decided_at=now.wall,
            expires_at=expires_at,
        )
    if policy.then.notify is not None:
        told = notification(policy, target, reason, numbers, correlation_id, cause_id, now)
        yield replace(told, id=digest("notify", policy.name, target.id, cause_id), expires_at=expires_at)


def last_resorts(policies: PolicySet, decision: Decision, record: ContainerRecord, now: Instant) -> Iterator[Decision]:
    """Stop the target of which more was wanted than its budget allows, by every policy that says so.

    Args:
        policies: Those in force.
        decision: What was wanted of it, or tried.
        record: The target.
        now: The present.
    """
    for policy in stopping(policies, record):
        yield _last_resort(policy, decision, record, now)


def stopping(policies: PolicySet, record: ContainerRecord) -> Iterator[Policy]:
    """Policies that have a container stopped as its breaker opens, by whichever policy's wish."""
    for policy in policies.policies:
        acts = policy.mode in {Mode.ENFORCE, Mode.APPROVE} and policy.then.verb is not None
        selects = policy.selector is not None and policy.selector.matches(record.container)
        if acts and selects and policy.budget.stops:
            yield policy


def _last_resort(policy: Policy, decision: Decision, record: ContainerRecord, now: Instant) -> Decision:
    return replace(
        decision,
        id=digest("last resort", policy.name, decision.id, repr(now.wall)),
        policy=policy.name,
        verb=Verb.STOP,
        reason=f"its breaker has opened (on_open: stop): {decision.reason}",
        parameters={"stop_timeout": stop_timeout(policy, record)},
        approval="",
        from_event=True,
        last_resort=True,
        decided_at=now.wall,
        expires_at=now.wall + PENDING_FOR,
    )


def notification(
    policy: Policy,
    target: Target,
    reason: str,
    numbers: Mapping[str, Number],
    correlation_id: str,
    cause_id: str,
    now: Instant,
) -> Decision:
    """Tell people, as a decision that passes the guards like any other."""
    notify = policy.then.notify
    severity = notify.severity if notify else Severity.WARNING
    return Decision(
        id=digest("notify", policy.name, target.id, correlation_id, repr(now.wall)),
        policy=policy.name,
        target=target,
        verb=Verb.NOTIFY,
        reason=reason,
        numbers=numbers,
        parameters={"severity": severity.value, "message": notify.message if notify else ""},
        correlation_id=correlation_id,
        cause_id=cause_id,
        from_event=bool(cause_id),
        decided_at=now.wall,
        expires_at=now.wall + PENDING_FOR,
    )

"""From a person who sets a policy off to decisions: one for each target, guarded as any other. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.decision import Decision, Target, TargetKind
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.making import PENDING_FOR, container_target, decisions_of, host_target
from watchtower_agent.policies.policy import OnTrigger, Policy
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.waiting import BY_HAND
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

REASON: Final = "set off by hand"


def is_about_any_container(policy: Policy) -> bool:
    """Whether it selects nothing and is about whichever container its event is about."""
    trigger = policy.trigger
    return (
        policy.selector is None
        and isinstance(trigger, OnTrigger)
        and any(kind is EventKind.CONTAINER for kind, _ in trigger.events)
    )


def acts_by_itself(policy: Policy) -> bool:
    """Whether it looks at its target all the time and works out what to do: there is nothing to be set off."""
    return isinstance(policy.trigger, ScaleStrategy | ResizeStrategy)


def is_about_one(policy: Policy) -> bool:
    """Whether it is about no containers, but about one service, or the host."""
    return policy.selector is None and not is_about_any_container(policy)


def may_be_about(policy: Policy, record: ContainerRecord) -> bool:
    """Whether the policy could do something about the container."""
    return policy.selector.matches(record.container) if policy.selector is not None else is_about_any_container(policy)


def targets_of(policy: Policy, state: HostState) -> list[tuple[Target, ContainerRecord | None]]:
    """Whom a policy is about, in order of name: containers, or a service, or the host."""
    if isinstance(policy.trigger, ScaleStrategy):
        service = policy.trigger.target
        return [(Target(kind=TargetKind.SERVICE, id=service.key, name=service.name), None)]
    if is_about_one(policy):
        return [(host_target(policy, state.host), None)]
    records = [record for record in state.containers.values() if may_be_about(policy, record)]
    return [(container_target(each), each) for each in sorted(records, key=lambda each: each.container.name)]


def decisions_by_hand(
    policy: Policy, target: Target, record: ContainerRecord | None, correlation_id: str, now: Instant
) -> Iterator[Decision]:
    """What the policy does to the target, wanted now whatever its trigger: the guards alone decide.

    Args:
        policy: Which is set off.
        target: Whom it is about.
        record: What is known of it; None for the host.
        correlation_id: Of the asking: the same one never makes two decisions about a target.
        now: The present.
    """
    return decisions_of(
        policy,
        target,
        record,
        REASON,
        {BY_HAND: True},
        correlation_id,
        correlation_id,
        now,
        expires_at=now.wall + PENDING_FOR,
    )

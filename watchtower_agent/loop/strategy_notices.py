"""What the agent says of services that it scales and containers it resizes, in the words that people read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.notice import Notice
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.resizing.recommendation import Recommendation as Recommended
from watchtower_agent.policies.scaling.recommendation import Recommendation
from watchtower_agent.policies.scaling.rules import REGRETTED_FOR
from watchtower_agent.policies.wording import as_written, lasting
from watchtower_agent.state.record import ContainerRecord


def scaling_limited(policy: Policy, recommendation: Recommendation, why: str, at: float) -> Notice:
    """A service stays as it is though it needs something else."""
    wanted, desired = recommendation.wanted, recommendation.desired
    way = "fewer" if desired < wanted else "more"
    return _limited(policy, f"it stays at {wanted} and gets no {way}: {why}", recommendation.numbers(), at)


def scaled_by_another(policy: Policy, why: str, at: float) -> Notice:
    """A service is left alone since another policy scales some of its containers."""
    return _limited(policy, f"it leaves its service alone: {why}", {}, at)


def _limited(policy: Policy, reason: str, numbers: Mapping[str, object], at: float) -> Notice:
    return Notice(
        kind=EventKind.POLICY,
        action="limited",
        subject=policy.name,
        severity=Severity.WARNING,
        reason=reason,
        data={"policy": policy.name, **numbers},
        at=at,
    )


def shrink_regretted(policy: Policy, recommendation: Recommendation, at: float) -> Notice:
    """A service had to grow again soon after a shrink: the next ones come later."""
    return Notice(
        kind=EventKind.POLICY,
        action="regretted",
        subject=policy.name,
        reason=f"it had to grow again soon after a shrink: for {as_written(REGRETTED_FOR)} the shorter wait before a "
        f"shrink is {as_written(recommendation.wait)}",
        data={"policy": policy.name, **recommendation.numbers()},
        at=at,
    )


def limits_left_alone(
    policy: Policy, record: ContainerRecord, recommendation: Recommended, left: float, at: float
) -> Notice:
    """Somebody else changed a container's limits, which it would need otherwise."""
    name = record.container.name
    return Notice(
        kind=EventKind.POLICY,
        action="limited",
        subject=policy.name,
        severity=Severity.WARNING,
        reason=f"{name} keeps its limits: somebody else changed them, which is left alone for {lasting(left)} more",
        data={"policy": policy.name, "container": name, "id": record.container.id, **recommendation.numbers()},
        at=at,
    )


def killed_at_max(policy: Policy, record: ContainerRecord, recommendation: Recommended, at: float) -> Notice:
    """A container was OOM-killed and has as much memory as the policy allows: only a person can help it."""
    name, memory = record.container.name, recommendation.memory
    current = "" if memory is None else f" of {memory.current / 2**20:.0f} MiB"
    return Notice(
        kind=EventKind.POLICY,
        action="at_max",
        subject=policy.name,
        severity=Severity.CRITICAL,
        reason=f"{name} was OOM-killed at its memory limit{current}, the largest that the policy allows: "
        "raise max, or find out what needs so much",
        data={"policy": policy.name, "container": name, "id": record.container.id, **recommendation.numbers()},
        at=at,
    )

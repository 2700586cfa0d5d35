"""Giving a container the limits back that it had before the agent changed them: from what is remembered to a decision.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchtower_agent.model.decision import Decision, Mode, Number, Target, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.making import PENDING_FOR, digest
from watchtower_agent.policies.policy import Place, Policy, Then
from watchtower_agent.policies.resized import LOWERS, WORKING_SET, limit_in_words
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.recommendation import Resource
from watchtower_agent.policies.resizing.rules import Rules
from watchtower_agent.policies.resizing.sizing import leaves_room
from watchtower_agent.policies.resizing.storing import finite
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.waiting import BY_HAND, is_revert
from watchtower_agent.policies.wording import lasting
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

REASON: Final = "reverted by hand"
_RULES: Final = Rules()
"""What no policy changes of them: how full a limit may be, and how long it rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """One limit that the agent changed. Bytes or cores; infinite is none.

    Attributes:
        resource: Of what.
        current: What it is.
        to: What others had made of it.
    """

    resource: Resource
    current: float
    to: float

    @property
    def words(self) -> str:
        """`memory limit 228.0 MiB to 128.0 MiB`."""
        name = "memory" if self.resource is Resource.MEMORY else "CPU"
        current, to = (limit_in_words(self.resource, each) for each in (self.current, self.to))
        return f"{name} limit {current} to {to}"

    @property
    def parameter(self) -> Number:
        """For the action: bytes or cores, 0 for none."""
        limit = 0.0 if math.isinf(self.to) else self.to
        return int(limit) if self.resource is Resource.MEMORY else limit


def ways_back(past: Past, record: ContainerRecord, now: Instant) -> tuple[WayBack, ...]:
    """The limits that are as the agent made them; none where somebody has changed them since, or they are not known.

    Args:
        past: What is remembered of the container by the policy that changed them.
        record: The container.
        now: The present.
    """
    detail = record.container.detail
    if detail is None:
        return ()
    recreated = bool(past.container_id) and past.container_id != record.container.id
    found = []
    for resource, standing, current in (
        (Resource.MEMORY, past.memory_limit, float(detail.memory_limit) or math.inf),
        (Resource.CPU, past.cpu_limit, detail.cpu_granted or math.inf),
    ):
        to = standing.original_of(current, now.monotonic, recreated=recreated)
        if to is not None:
            found.append(WayBack(resource=resource, current=current, to=to))
    return tuple(found)


def lowered_limits(pasts: Iterable[Past], record: ContainerRecord, now: Instant) -> dict[str, Number]:
    """The limits that the agent has lowered, as others had made them: `memory` in bytes, `cpu` in cores, 0 for none.

    Args:
        pasts: What is remembered of the container by each policy.
        record: The container.
        now: The present.
    """
    ways = (way for past in pasts for way in ways_back(past, record, now))
    return {each.resource.value: each.parameter for each in ways if each.to > each.current}


def revert_decision(
    policy: str, target: Target, ways: Sequence[WayBack], correlation_id: str, now: Instant
) -> Decision:
    """What the person wants of the container: the guards alone decide.

    Args:
        policy: Name of the one that changed its limits.
        target: The container.
        ways: Which limits go back; at least one.
        correlation_id: Of the asking: the same one never makes two decisions.
        now: The present.
    """
    numbers: dict[str, Number] = {BY_HAND: True, LOWERS: any(each.to < each.current for each in ways)}
    for each in ways:
        numbers |= {f"{each.resource} limit": finite(each.current), f"{each.resource} to": finite(each.to)}
    return Decision(
        id=digest("decision", policy, target.id, correlation_id),
        policy=policy,
        target=target,
        verb=Verb.RESIZE,
        reason=f"{REASON}: {'; '.join(each.words for each in ways)}",
        numbers=numbers,
        parameters={each.resource.value: each.parameter for each in ways},
        correlation_id=correlation_id,
        cause_id=correlation_id,
        from_event=True,
        decided_at=now.wall,
        expires_at=now.wall + PENDING_FOR,
    )


def no_room(parameters: Mapping[str, Number], record: ContainerRecord | None, state: HostState, now: Instant) -> str:
    """Why a container's memory can't be limited to so little at this moment; empty where it can.

    Args:
        parameters: Of the decision.
        record: The container.
        state: The host.
        now: The present.
    """
    memory = parameters.get("memory")
    if record is None or not isinstance(memory, int) or not memory or not record.container.running:
        return ""
    detail = record.container.detail
    if detail is not None and 0 < detail.memory_limit <= memory:
        return ""
    used = state.metric(record.container.id, WORKING_SET, now)
    if leaves_room(_RULES, used, float(memory)):
        return ""
    limit, most = (limit_in_words(Resource.MEMORY, each) for each in (memory, _RULES.fullest * memory))
    uses = "how much it uses is not known" if used is None else f"it uses {limit_in_words(Resource.MEMORY, used)}"
    return f"a memory limit of {limit} needs a working set of {most} at most, and {uses}"


def rules_over(policy: Policy | None, record: ContainerRecord | None) -> Rules | None:
    """The rules by which a policy in force resizes the container; None: it does not."""
    if policy is None or policy.mode is Mode.OFF or not isinstance(policy.trigger, ResizeStrategy):
        return None
    return policy.trigger.rules if record is None or policy.selects(record.container) else None


def answering(policy: Policy | None, decision: Decision, record: ContainerRecord | None) -> Policy | None:
    """The policy by which guards go: of a revert one that stands in, where none of that name resizes the container.

    It is gone, off, or selects the container no more. Then nothing is left of its mode and its windows; whatever else
    guards go by (the agent's mode, protection, pauses under its name) is as always.

    Args:
        policy: The one of that name that is in force; None: there is none.
        decision: What is wanted.
        record: Its target.
    """
    if not is_revert(decision) or rules_over(policy, record) is not None:
        return policy
    return Policy(
        name=decision.policy,
        selector=Selector(names=Patterns((decision.target.name,))),
        trigger=ResizeStrategy(),
        then=Then(verb=Verb.RESIZE),
        place=Place(file="", line=0, column=0),
    )


def what_follows(ways: Sequence[WayBack], policy: Policy | None, record: ContainerRecord) -> str:
    """What the policy makes of limits that went back, for people."""
    rules, name = rules_over(policy, record), record.container.name
    if rules is None or policy is None:
        return "no policy in force changes them again"
    keep = f"to keep it from that: pause {policy.name}, or leave {name} out of its select"
    for each in ways:
        bounds = rules.memory if each.resource is Resource.MEMORY else rules.cpu
        if bounds is not None and each.to < bounds.least:
            least = limit_in_words(each.resource, bounds.least)
            return f"policy {policy.name} raises {each.resource} to its min, {least}, within a minute; {keep}"
    rest = lasting(rules.lowered_after)
    return f"policy {policy.name} raises them when it needs more, and lowers them in {rest} at the earliest; {keep}"

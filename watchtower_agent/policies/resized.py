"""A container that is resized: what is known of it, the decision that follows, and its words. Pure."""

from __future__ import annotations

import math
from typing import Final

from watchtower_agent.model.container import ContainerDetail
from watchtower_agent.model.decision import Decision, Number, Target, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.making import digest
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.resizing.meter import Measured
from watchtower_agent.policies.resizing.recommendation import Advice, Limit, Recommendation, Resource, Verdict
from watchtower_agent.policies.resizing.rules import Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.sizing import leaves_room
from watchtower_agent.policies.wording import lasting, valued
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

WORKING_SET: Final = "memory.working_set"
CORES: Final = "cpu.cores"
LOWERS: Final = "lowers"
"""Among the numbers of a decision to resize: whether a limit becomes smaller."""
_HELD: Final = {Limit.STEP: "a step at a time", Limit.MAX: "max"}
_LIMIT: Final = {Resource.MEMORY: "memory limit", Resource.CPU: "CPU limit"}

HELD_BY: Final = {
    Limit.KILLS: "after OOM kills it was raised as often as may be within an hour",
    Limit.UNKNOWN: "too little is known of what it uses",
    Limit.MIN: "it is as small as it may be (min)",
    Limit.MAX: "it is as large as it may be (max)",
    Limit.PEAK: "so much was used once within some days",
    Limit.RESERVATION: "so much is reserved for it",
    Limit.TOLERANCE: "it is near enough",
    Limit.DATA: "too little was measured to lower it",
    Limit.HELD: "less has not been enough for long",
    Limit.STEP: "so much at most is taken away at once",
    Limit.WORKING_SET: "what is in use would fill nearly all of it",
    Limit.COOLDOWN: "it changed only now",
    Limit.OPERATOR: "somebody else changed its limits, which are left alone for a while",
    Limit.BUDGET: "as many changes as may be were made within an hour",
}
"""What each limit at work means, for people."""


def are_limits_known(record: ContainerRecord, state: HostState) -> bool:
    """Whether it is known by now which limits a container has."""
    return record.container.detail is not None and state.engine.connected


def situation_of(
    record: ContainerRecord, state: HostState, now: Instant, measured: Measured, *, killed: bool
) -> Situation:
    """What is known of a container whose limits are.

    Args:
        record: A container that runs.
        state: The host.
        now: The present.
        measured: What it used since the last look.
        killed: A process of it was killed for want of memory since then.
    """
    detail = record.container.detail or ContainerDetail()
    cpus = state.engine.info.cpus if state.engine.info is not None else 0
    return Situation(
        container_id=record.container.id,
        memory=float(detail.memory_limit) or math.inf,
        cpu=detail.cpu_granted or math.inf,
        working_set=state.metric(record.container.id, WORKING_SET, now),
        cores=state.metric(record.container.id, CORES, now),
        measured=measured,
        killed=killed,
        reservation=float(detail.cloning.reservation),
        host_cpus=float(cpus) or math.inf,
        least_cpu=detail.cpu_least,
    )


def fits(
    rules: Rules, recommendation: Recommendation, record: ContainerRecord | None, state: HostState, now: Instant
) -> bool:
    """Whether what is in use still leaves room where memory is lowered: asked once more just before it is."""
    memory = recommendation.memory
    if memory is None or memory.to >= memory.current:
        return True
    working_set = None if record is None else state.metric(record.container.id, WORKING_SET, now)
    return leaves_room(rules, working_set, memory.to)


def resize_decision(
    policy: Policy, target: Target, recommendation: Recommendation, now: Instant, *, expires_at: float
) -> Decision:
    """What the policy wants of the container.

    Args:
        policy: Which wants it.
        target: The container.
        recommendation: One that moves.
        now: The present.
        expires_at: Until when it counts, seconds since the epoch.
    """
    correlation = digest("resize", policy.name, target.id, repr(now.wall))
    return Decision(
        id=digest("decision", correlation),
        policy=policy.name,
        target=target,
        verb=Verb.RESIZE,
        reason=because(recommendation),
        numbers={**recommendation.numbers(), LOWERS: recommendation.lowers},
        parameters=parameters_of(recommendation),
        correlation_id=correlation,
        decided_at=now.wall,
        expires_at=expires_at,
    )


def parameters_of(recommendation: Recommendation) -> dict[str, Number]:
    """What the action has to know: `memory` in bytes, `cpu` in cores; what is not among them is left."""
    return {
        each.resource.value: int(each.to) if each.resource is Resource.MEMORY else each.to
        for each in recommendation.advices
        if each.moves
    }


def because(recommendation: Recommendation) -> str:
    """Why limits should change; empty where none should."""
    return "; ".join(_because(each) for each in recommendation.advices if each.moves)


def shortage(recommendation: Recommendation) -> str:
    """Why only a person can help the container; empty while none has to."""
    memory = recommendation.memory
    if memory is None or not recommendation.at_max:
        return ""
    return f"OOM-killed though its memory limit is the largest that it may have: {_said(memory, memory.current)} (max)"


def _because(advice: Advice) -> str:
    limit = _LIMIT[advice.resource]
    change = f"{limit} {_said(advice, advice.current)} to {_said(advice, advice.to)}"
    if advice.verdict is Verdict.REAPPLY:
        return f"{change}: it was recreated, and had {_said(advice, advice.base)} before"
    return f"{change}: {_raised(advice) if advice.verdict is Verdict.RAISE else _lowered(advice)}"


def _raised(advice: Advice) -> str:
    if advice.kill_need is not None and advice.limit in {None, Limit.MAX} and advice.desired >= advice.kill_need:
        return f"OOM-killed{_held(advice)}"
    if advice.current < advice.bounds.least and advice.to == advice.bounds.least:
        return f"it is below min {_said(advice, advice.bounds.least)}"
    return f"{_used(advice)}{_held(advice)}"


def _lowered(advice: Advice) -> str:
    if advice.current > advice.bounds.most:
        above = "it has none" if math.isinf(advice.current) else "it is above max"
        return f"{above}, and {_said(advice, advice.bounds.most)} (max) would do"
    return f"{_used(advice)}{_held(advice)}"


def _used(advice: Advice) -> str:
    """What it goes by: what is used at present where that takes most, else what was used most of the time."""
    of_memory, needed = advice.resource is Resource.MEMORY, advice.needed
    if needed.present and needed.recent is not None:
        return f"it used {_said(advice, needed.recent)} {'within 10 min' if of_memory else 'for 5 min'}"
    if needed.p95 is None:
        return "what it uses is not known"
    return f"it used about {_said(advice, needed.p95)} at most in 95 % of {'hours' if of_memory else 'the time'}"


def _held(advice: Advice) -> str:
    return f" ({_HELD[advice.limit]})" if advice.limit in _HELD else ""


def _said(advice: Advice, amount: float) -> str:
    return limit_in_words(advice.resource, amount)


def limit_in_words(resource: Resource, amount: float) -> str:
    """`128.0 MiB`, `0.5 cores`, or `none`."""
    if math.isinf(amount):
        return "none"
    if resource is Resource.CPU:
        return f"{amount:.3g} core{'' if amount == 1 else 's'}"
    return valued(WORKING_SET, amount)


def outlook(advice: Advice) -> str:
    """What comes next for one limit."""
    current = _said(advice, advice.current)
    if advice.verdict is Verdict.AT_MAX:
        return f"{advice.resource} stays at {current}: OOM-killed there, and it is max; only a person can help it"
    if advice.moves:
        return _because(advice)
    stays = f"{advice.resource} stays at {current}"
    held = HELD_BY.get(advice.limit) if advice.limit is not None else None
    if advice.may_lower_in is not None and advice.desired < advice.current:
        later = f"lowered in {lasting(advice.may_lower_in)} of measuring if it needs no more until then"
        return f"{stays}; {later}{f' ({held})' if held else ''}"
    return f"{stays}: {held}" if held else f"{stays}: {_used(advice)}"

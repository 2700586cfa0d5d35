"""How much memory a host has for more clones of a service, and what is about to be taken of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.conditions.subject import ContainerSubject
from watchtower_agent.policies.scaling.situation import HostRoom
from watchtower_agent.policies.strategies.scale import ROOM_WINDOW, ScaleStrategy
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

_WORKING_SET: Final = "memory.working_set"
_AVAILABLE: Final = "host.memory.available"


def room_for(strategy: ScaleStrategy, meant: Sequence[ContainerRecord], state: HostState, now: Instant) -> HostRoom:
    """What the host has for more.

    Args:
        strategy: What has to stay free.
        meant: The service's replicas that are meant to run.
        state: The host.
        now: The present.
    """
    taken = [taken for each in meant if (taken := _memory_of(each, state, now)) is not None]
    one = max(taken, default=None)
    return HostRoom(
        available=state.host_metric(_AVAILABLE, now),
        reserve=strategy.reserve,
        per_replica=one,
        promised=sum(_still_to_take(each, one or 0.0, state, now) for each in meant),
    )


def _still_to_take(record: ContainerRecord, one: float, state: HostState, now: Instant) -> float:
    """Bytes that one which began only now has not taken yet: many fill their memory in minutes, not at once."""
    uptime = state.uptime(record, now)
    if uptime is None or uptime >= ROOM_WINDOW.seconds:
        return 0.0
    return max(0.0, one - (state.metric(record.container.id, _WORKING_SET, now) or 0.0))


def _memory_of(record: ContainerRecord, state: HostState, now: Instant) -> float | None:
    """Bytes that one like this takes: P95 of what it had lately, or what it has, and no less than it reserves."""
    past = ContainerSubject(state, now, record).window(ROOM_WINDOW)
    used = float(past) if isinstance(past, int | float) else state.metric(record.container.id, _WORKING_SET, now)
    detail = record.container.detail
    reserved = float(detail.cloning.reservation) if detail is not None else 0.0
    return None if used is None else max(used, reserved)

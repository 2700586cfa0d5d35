"""What is published of containers: one as it is known, or all that run with their newest samples, as columns.

Pure functions over `HostState`, which they leave as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchtower_agent.model.fact import ContainerView, MetricsTable
from watchtower_agent.model.instant import Instant
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.sampled import OF_LIMITS, OOM_KILLS, columns, known_oom_kills, row


def view(state: HostState, record: ContainerRecord, now: Instant | None = None) -> ContainerView:
    """The record as it is published; with the newest sample when `now` is given."""
    sample: dict[str, float] = {}
    oom_kills = None
    if now is not None:
        sample = _row(state, record, now)
        oom_kills = known_oom_kills(record, state.samples, sample.get(OOM_KILLS))
        if sample.get(OOM_KILLS) != oom_kills:
            sample.pop(OOM_KILLS, None)  # it was read before the last kill
    operator = record.operator
    return ContainerView(
        container=record.container,
        restarts=record.restarts,
        restarts_by_agent=record.restarts_by_agent,
        operator_action=operator.action if operator else "",
        operator_action_at=operator.at if operator else None,
        hands_off_until=operator.until if operator and record.container.running else None,
        oom_kills=oom_kills,
        last_sample=sample,
    )


def _row(state: HostState, record: ContainerRecord, now: Instant) -> dict[str, float]:
    """What `HostState.metric` gives of every name that was sampled."""
    batch = state.samples
    if batch is None or batch.out_of_date(now):
        return {}
    found = row(batch, state.slots.get(record.container.id), record, now.wall)
    if record.container.id in state.other_limits:
        for name in OF_LIMITS:
            found.pop(name, None)
    return found


def table(state: HostState, now: Instant) -> MetricsTable:
    """The running containers, with the samples that `view` gives of each."""
    records = [record for record in state.containers.values() if record.container.running]
    batch = state.samples
    if batch is None or batch.out_of_date(now):
        return MetricsTable(containers=[record.container for record in records], uptimes=_uptimes(state, records, now))
    if not state.engine.listed:  # remembered only: one of which nothing can be measured may have ended meanwhile
        records = [each for each in records if row(batch, state.slots.get(each.container.id), each, now.wall)]
    sampled_values = columns(batch, state.slots, records, now.wall, other_limits=state.other_limits)
    return replace(sampled_values, uptimes=_uptimes(state, records, batch.at))


def _uptimes(state: HostState, records: Iterable[ContainerRecord], now: Instant) -> list[float | None]:
    return [state.uptime(record, now) for record in records]

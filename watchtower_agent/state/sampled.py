"""What the newest tick says of one container's present life, and how many OOM kills it has had. Pure.

The engine tells `oom` once for several kills, or several times for one: only the cgroup's own counter is true. It is
read seconds apart; between an `oom` and the reading after it, the container's record knows better.
"""

from __future__ import annotations

from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import AHEAD
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.state.record import ContainerRecord

OOM_KILLS = "memory.oom_kills"
OF_LIMITS = frozenset({"cpu.percent_of_limit", "cpu.throttled", "memory.limit", "memory.percent", "pids.limit"})
"""What depends on a container's limits: once they were changed, unknown until they were read."""


def sampled(
    batch: SampleBatch, slot: int | None, record: ContainerRecord | None, name: str, now: float
) -> float | None:
    """A value of the container in that slot; None when it was not measured, or measured in an earlier life."""
    column = batch.columns.get(name)
    if column is None or slot is None or (record is not None and of_earlier_life(batch, record, now)):
        return None
    number = column[slot]
    return None if number != number else number  # noqa: PLR0124 - NaN is the one number that differs from itself


def of_earlier_life(batch: SampleBatch, record: ContainerRecord, now: float) -> bool:
    """Whether the tick was before the container's present start.

    A start far later than `now` (wall time) was stamped before the clock was stepped back, and tells nothing.
    """
    return record.started is not None and batch.at.wall < record.started <= now + AHEAD


def row(batch: SampleBatch, slot: int | None, record: ContainerRecord, now: float) -> dict[str, float]:
    """Every value that `sampled` would give of the container in that slot, by name; `now` in wall time."""
    if slot is None or of_earlier_life(batch, record, now):
        return {}
    return {name: number for name, column in batch.columns.items() if (number := column[slot]) == number}


def learn_oom_kills(record: ContainerRecord, event: EngineEvent, batch: SampleBatch | None, slot: int | None) -> None:
    """Take the counter over into the record, before an `oom` adds to it or a `die` ends the life that it counts."""
    number = sampled(batch, slot, record, OOM_KILLS, event.time) if batch is not None else None
    if batch is None or number is None:
        return
    if event.action == "oom" and batch.at.wall >= event.time:
        record.oom_kills = max(record.oom_kills, int(number) - 1)  # it may have counted this one already
    else:
        record.oom_kills = int(number) if _read_since(record, batch) else max(record.oom_kills, int(number))


def known_oom_kills(record: ContainerRecord, batch: SampleBatch | None, number: float | None) -> int | None:
    """How many OOM kills a container's present life has had; None when neither counter nor event told.

    Args:
        record: Of the container.
        batch: The newest tick.
        number: Its counter, None when not known.
    """
    if batch is None or number is None:
        return record.oom_kills or None
    return int(number) if _read_since(record, batch) else max(record.oom_kills, int(number))


def _read_since(record: ContainerRecord, batch: SampleBatch) -> bool:
    """Whether the counter was read after the last `oom`. The tick that was under way may have been before it."""
    return record.oom_at is None or batch.at.wall > record.oom_at + batch.interval

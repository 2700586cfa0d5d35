"""What the newest tick says of containers' present lives, and how many OOM kills they have had. Pure.

The engine tells `oom` once for several kills, or several times for one: only the cgroup's own counter is true. It is
read seconds apart; between an `oom` and the reading after it, the container's record knows better.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence, Set as AbstractSet

from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.state.record import ContainerRecord

OOM_KILLS = "memory.oom_kills"
OF_LIMITS = frozenset({"cpu.percent_of_limit", "cpu.throttled", "memory.limit", "memory.percent", "pids.limit"})
"""What depends on a container's limits: once they were changed, unknown until they were read."""

_UNKNOWN = array("d", [math.nan])


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

    A start that was stamped before the clock was stepped back tells nothing; `now` in wall time.
    """
    begun = record.comparable_start(now)
    return begun is not None and batch.at.wall < begun


def row(batch: SampleBatch, slot: int | None, record: ContainerRecord, now: float) -> dict[str, float]:
    """Every value that `sampled` would give of the container in that slot, by name; `now` in wall time."""
    if slot is None or of_earlier_life(batch, record, now):
        return {}
    return {name: number for name, column in batch.columns.items() if (number := column[slot]) == number}


def columns(
    batch: SampleBatch,
    slots: Mapping[str, int],
    records: Sequence[ContainerRecord],
    now: float,
    *,
    other_limits: AbstractSet[str],
) -> MetricsTable:
    """What `row` would give of each of these containers, less what is known to be out of date, as columns.

    Args:
        batch: The newest tick.
        slots: Container id -> its slot in the batch's columns.
        records: Of the containers.
        now: Wall time.
        other_limits: Ids of containers whose limits were changed since they were last read.
    """
    places = [
        -1 if (slot := slots.get(record.container.id)) is None or of_earlier_life(batch, record, now) else slot
        for record in records
    ]
    columns = dict(batch.columns)
    if places != list(range(len(batch.targets))):  # containers came or went since the tick
        # One more number ends each column: the slot -1, of those that were not sampled in this life.
        padded = {name: column + _UNKNOWN for name, column in batch.columns.items()}
        columns = {name: array("d", map(column.__getitem__, places)) for name, column in padded.items()}
    altered = [at for at, record in enumerate(records) if record.container.id in other_limits]
    _blank(columns, OF_LIMITS, altered)
    _blank(columns, {OOM_KILLS}, _behind_last_kill(batch, records, columns.get(OOM_KILLS, ())))
    return MetricsTable(containers=[record.container for record in records], columns=columns)


def _behind_last_kill(batch: SampleBatch, records: Sequence[ContainerRecord], counters: Sequence[float]) -> list[int]:
    """Where the counter of OOM kills was read before the last kill."""
    return [
        at
        for at, (record, number) in enumerate(zip(records, counters, strict=False))
        if record.oom_at is not None and not math.isnan(number) and known_oom_kills(record, batch, number) != number
    ]


def _blank(columns: dict[str, array[float]], names: AbstractSet[str], places: Sequence[int]) -> None:
    """Make values unknown, on copies of the columns: the tick's own stay as they were measured."""
    for name in names & columns.keys() if places else ():
        column = columns[name] = columns[name][:]
        for place in places:
            column[place] = math.nan


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

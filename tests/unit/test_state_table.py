"""The table of a metrics batch says of each container what its view says."""

from __future__ import annotations

import math
from array import array

from hypothesis import given, strategies as st

from tests.support.core import NOW, container, container_id, event
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.state import views
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

NAMES = ("cpu.percent", "memory.percent", "memory.limit", "memory.oom_kills")
TICK = Instant(wall=NOW, monotonic=1000.0)

counters = st.just(math.nan) | st.integers(0, 5).map(float)
numbers = counters | st.floats(allow_nan=False, allow_infinity=False)
moments = st.none() | st.sampled_from([NOW - 60.0, NOW - 0.5, NOW + 0.2, NOW + 3600])
records = st.builds(
    lambda name, status, started, oom_at, oom_kills: ContainerRecord(
        container=container(name, status=status), started=started, oom_at=oom_at, oom_kills=oom_kills
    ),
    name=st.sampled_from("abcdef"),
    status=st.sampled_from([ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.EXITED, None]),
    started=moments,
    oom_at=moments,
    oom_kills=st.integers(0, 5),
)


def known(table: MetricsTable) -> list[tuple[str, dict[str, float]]]:
    """Of each container what is known, in the table's order."""
    return [
        (each.name, {name: column[at] for name, column in table.columns.items() if not math.isnan(column[at])})
        for at, each in enumerate(table.containers)
    ]


@given(data=st.data())
def test_it_says_what_the_views_of_running_containers_say(data: st.DataObject) -> None:
    found = data.draw(st.lists(records, unique_by=lambda record: record.container.id))
    state = HostState("h1", containers={record.container.id: record for record in found})
    running = [record for record in found if record.container.running]
    some = st.lists(st.sampled_from(found), unique_by=lambda record: record.container.id) if found else st.just([])
    ids = [record.container.id for record in data.draw(st.just(running) | st.permutations(found) | some)]
    columns = {
        name: array("d", data.draw(st.tuples(*[counters if name == "memory.oom_kills" else numbers] * len(ids))))
        for name in NAMES
    }
    for record in data.draw(some):
        if record.container.running:
            state.apply_event(event("update", record.container.name))
    measured = {name: column.tobytes() for name, column in columns.items()}
    targets = tuple(SampleTarget(container_id=each) for each in ids)
    state.apply_samples(SampleBatch(at=TICK, interval=1.0, targets=targets, columns=columns))
    state.engine.listed = data.draw(st.booleans())
    now = Instant(wall=NOW + 0.5, monotonic=1000.5)

    table = views.table(state, now)

    wanted = [(record.container.name, dict(views.view(state, record, now).last_sample)) for record in running]
    if not state.engine.listed:  # what is remembered, and can't be measured, may have ended
        told = {each.name for each in table.containers}
        assert all(values.keys() <= {"memory.oom_kills"} for name, values in wanted if name not in told)
        wanted = [(name, values) for name, values in wanted if name in told]
    assert known(table) == wanted
    assert {name: column.tobytes() for name, column in columns.items()} == measured, "the tick is others', too"


def test_a_tick_long_ago_says_nothing_of_now() -> None:
    state = HostState("h1", containers={container_id("web"): ContainerRecord(container=container("web"))})
    columns = {"cpu.percent": array("d", [1.0])}
    targets = (SampleTarget(container_id=container_id("web")),)
    state.apply_samples(SampleBatch(at=TICK, interval=1.0, targets=targets, columns=columns))

    assert known(views.table(state, Instant(wall=NOW + 3, monotonic=1003.0))) == [("web", {"cpu.percent": 1.0})]
    assert known(views.table(state, Instant(wall=NOW + 4, monotonic=1003.5))) == [("web", {})]


def test_before_the_first_tick_the_containers_are_known_all_the_same() -> None:
    state = HostState("h1", containers={container_id("web"): ContainerRecord(container=container("web"))})

    assert known(views.table(state, TICK)) == [("web", {})]

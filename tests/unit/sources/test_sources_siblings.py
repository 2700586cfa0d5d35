"""Batches of other agents: what ours publish is understood, and anything else does no harm."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.facts import LEADER, container, metrics_table, view
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.model.observation import SiblingObserved, SiblingReplica
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.service import Judgement
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.metrics_parts import parts
from watchtower_agent.sources.siblings import MOST_ROWS, Siblings

AT = Instant(wall=1_790_000_000.0, monotonic=1000.0)
TASK = {"com.docker.swarm.service.name": "shop_web"}
JUDGEMENT = Judgement(service_id="s1", version=17, left_alone_for=840.5)
MEANS = {"avg(cpu.percent_of_limit, 20s)": 61.25, "avg(cpu.percent_of_limit, 5s)": 70.0}


def table(rows: int = 1) -> MetricsTable:
    """Replicas of a scaled service, and between them containers of no service."""
    views = [view(f"web{number}", TASK if number % 2 == 0 else {}) for number in range(2 * rows)]
    made = metrics_table(*views)
    containers = [replace(container(f"web{n}", each.labels), id=f"id{n}") for n, each in enumerate(made.containers)]
    means = {2 * number: MEANS for number in range(rows)}
    return replace(made, containers=containers, means=means, judgements=(JUDGEMENT,))


def message(rows: int = 1, sequence: int = 1, host: str = "h2") -> MetricsMessage:
    composer = CloudEventComposer(host=host, install_id="i")
    composer.engine_changed(LEADER)
    batch = SampleBatch(at=AT, interval=1.0)
    return composer.metrics(batch, table(rows), {}, sequence=sequence, interval=5.0)[0]


def take(siblings: Siblings, *messages: MetricsMessage) -> list[SiblingObserved | None]:
    return [siblings.take(siblings.host_of(each.topic), each.payload, AT) for each in messages]


def test_what_an_agent_publishes_is_understood() -> None:
    (seen,) = take(Siblings("watchtower", "h1"), message())

    assert seen == SiblingObserved(
        host="h2",
        node="n1",
        interval=5.0,
        moment=1000.0,
        replicas=(SiblingReplica(container_id="id0", service="shop_web", means=MEANS),),
        judgements=(JUDGEMENT,),
    )


@pytest.mark.parametrize(
    "services",
    [
        None,
        "s1",
        ["s1"],
        [{"id": "s1", "version": 17}],
        [{"id": "", "version": 17, "left_alone_for": 0}],
        [{"id": "s1", "version": True, "left_alone_for": 0}],
        [{"id": "s1", "version": -1, "left_alone_for": 0}],
        [{"id": "s1", "version": 17.5, "left_alone_for": 0}],
        [{"id": "s1", "version": 17, "left_alone_for": -1}],
        [{"id": "s1", "version": 17, "left_alone_for": 86400}],
        [{"id": "s1", "version": 17, "left_alone_for": float("nan")}],
    ],
)
def test_what_is_no_judgement_of_a_service_is_none(services: object) -> None:
    siblings, batch = Siblings("watchtower", "h1"), json.loads(message().payload)
    seen = siblings.take("h2", json.dumps({**batch, "services": services}).encode(), AT)

    assert seen is not None
    assert seen.judgements == ()
    assert len(seen.replicas) == 1


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("site/a.b/v1/h2/metrics", "h2"),
        ("site/a.b/v1/h1/metrics", ""),
        ("site/a-b/v1/h2/metrics", ""),
        ("site/a.b/v1/h2/metrics/container/web", ""),
        ("site/a.b/v1/h2/x/metrics", ""),
        ("other", ""),
    ],
)
def test_whose_batches_come_on_a_topic(topic: str, host: str) -> None:
    siblings = Siblings("site/a.b", "h1")

    assert siblings.filter == "site/a.b/v1/+/metrics"
    assert siblings.host_of(topic) == host


def test_parts_are_put_together_once_all_are_there() -> None:
    whole = message(rows=40)
    several, _ = parts(whole, len(whole.payload) // 4)
    assert len(several) > 3
    siblings = Siblings("watchtower", "h1")
    (expected,) = take(Siblings("watchtower", "h1"), whole)

    assert take(siblings, *several[:-1]) == [None] * (len(several) - 1)
    assert take(siblings, several[-1]) == [expected]


def test_parts_come_in_any_order_and_twice() -> None:
    whole = message(rows=40)
    several, _ = parts(whole, len(whole.payload) // 3)
    siblings = Siblings("watchtower", "h1")

    (*missing, seen) = take(siblings, several[1], *reversed(several))

    assert missing == [None] * len(several)
    assert seen is not None
    assert [replica.container_id for replica in seen.replicas] == [f"id{2 * number}" for number in range(40)]


def test_a_batch_of_which_a_part_was_lost_tells_nothing_and_the_next_is_whole() -> None:
    first, second = message(rows=40, sequence=1), message(rows=40, sequence=2)
    old, new = (parts(each, len(first.payload) // 2)[0] for each in (first, second))
    siblings = Siblings("watchtower", "h1")

    told = take(siblings, *old[1:], *new)

    assert told[:-1] == [None] * (len(told) - 1)
    assert told[-1] is not None
    assert len(told[-1].replicas) == 40


def told(change: dict[str, Any], rows: list[Any] | None = None) -> SiblingObserved | None:
    """What a batch with something else in it tells."""
    batch: dict[str, Any] = {
        "schema": 1,
        "host": "h2",
        "node": "n1",
        "interval": 5.0,
        "sequence": 1,
        "containers": rows or [],
    } | change
    return Siblings("watchtower", "h1").take("h2", json.dumps(batch).encode(), AT)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"host": "h3"},  # than the one whose topic it is
        {"host": None},
        {"node": 5},
        {"node": "n" * 257},
        {"interval": 0},
        {"interval": -1},
        {"interval": True},
        {"interval": "5"},
        {"interval": float("nan")},
        {"interval": 1e9},
        {"containers": {}},
        {"containers": [{}] * (MOST_ROWS + 1)},
        {"part": 1, "parts": 0},
        {"part": 2, "parts": 1},
        {"part": 0, "parts": 2},
        {"part": 1, "parts": 1e9},
        {"part": 1, "parts": 10**9},
        {"parts": 2},
    ],
)
def test_what_is_no_batch_of_that_host_tells_nothing(change: dict[str, Any]) -> None:
    assert told({}) is not None
    assert told(change) is None


def test_a_row_that_is_none_is_left_out_and_so_is_a_mean_that_is_no_number() -> None:
    good = {"id": "a", "service": "s", "means": {"x": 1, "y": None, "z": True, "inf": float("inf"), "n": "1"}}
    rows: list[Any] = [good, None, [], {}, {"id": "b"}, {"id": "", "service": "s"}, {"id": 5, "service": "s"}]
    rows += [{"id": "c", "service": "s" * 257}, {"id": "d", "service": "s", "means": []}, {"id": "e", "service": "s"}]

    seen = told({}, rows)

    assert seen is not None
    assert {replica.container_id: replica.means for replica in seen.replicas} == {"a": {"x": 1.0}, "e": {}}


def test_a_row_tells_no_more_means_than_anybody_asks_for() -> None:
    seen = told(
        {}, [{"id": "a", "service": "s", "means": {f"m{number}": 1 for number in range(1000)} | {"l" * 300: 1}}]
    )

    assert seen is not None
    assert len(seen.replicas[0].means) == 50


def test_unfinished_batches_of_ever_new_hosts_take_no_room() -> None:
    siblings = Siblings("watchtower", "h1")
    whole = message(rows=4)
    (first, *_), _ = parts(whole, len(whole.payload) // 2)
    content = json.loads(first.payload)
    for number in range(300):
        payload = json.dumps(content | {"host": f"x{number}"}).encode()
        assert siblings.take(f"x{number}", payload, AT) is None

    assert siblings.unfinished <= 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
rows_of_any_kind = st.lists(
    st.dictionaries(st.sampled_from(["id", "service", "means", "name"]), json_values, max_size=4) | json_values,
    max_size=4,
)


@given(
    st.dictionaries(
        st.sampled_from(["schema", "host", "node", "interval", "sequence", "part", "parts", "containers"]), json_values
    ),
    rows_of_any_kind,
)
def test_nothing_that_is_json_does_harm(change: dict[str, Any], rows: list[Any]) -> None:
    for seen in (told(change), told({}, rows)):
        if seen is not None:
            assert seen.host == "h2"
            assert 0 < seen.interval <= 3600
            assert all(isinstance(value, float) for replica in seen.replicas for value in replica.means.values())


@given(st.binary(max_size=100))
def test_nothing_else_does_either(payload: bytes) -> None:
    assert Siblings("watchtower", "h1").take("h2", payload, AT) is None


def test_a_batch_that_comes_again_is_no_news() -> None:
    siblings = Siblings("watchtower", "h1")
    old, new = (json.loads(message(sequence=number).payload) for number in (1, 2))
    old["time"], new["time"] = "2026-11-26T08:00:00.000000Z", "2026-11-26T08:00:05.000000Z"

    def took(batch: dict[str, Any], after: float) -> bool:
        now = replace(AT, monotonic=AT.monotonic + after)
        return siblings.take("h2", json.dumps(batch).encode(), now) is not None

    assert took(old, 0.0)
    assert took(new, 5.0)
    assert not took(old, 6.0)
    assert took(new, 7.0)  # the same once more says nothing else
    assert not took(old, 36.0)
    assert took(old, 38.0), "its clock was set back: nothing newer has come for long enough"
    del new["time"]
    assert not took(new, 40.0)

"""Engine and agent in cgroup namespaces, together and apart: what is seen is right, what is not seen is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.engine import PrivateEngine
from tests.support.nested import NestedEngine, OuterCgroup, outer_cgroup, run_in
from tests.support.sampling_elsewhere import Found, command, sample
from watchtower_agent.model.sample import SampleTarget

MIB = 1 << 20
HOLD = ("sh", "-c", "dd if=/dev/zero of=/dev/shm/held bs=1M count=40 2>/dev/null; exec sleep 3600")
AROUND = 300 * MIB
"""What the outer cgroup allows."""


@pytest.fixture
def outer() -> Iterator[OuterCgroup]:
    with outer_cgroup() as outer:
        outer.limit_memory(AROUND)
        yield outer


@pytest.fixture
def nested_engine(outer: OuterCgroup) -> Iterator[NestedEngine]:
    with NestedEngine(outer) as engine:
        yield engine


def targets(engine: PrivateEngine) -> list[SampleTarget]:
    """A container with a limit of its own and one without, both holding 40 MiB, as the engine tells of them."""
    engine.docker("network", "create", "lan")
    ids = [
        engine.run("limited", *HOLD, options=("--memory=80m",), network="lan"),
        engine.run("free", *HOLD, network="lan"),
    ]
    for each in ids:
        engine.docker("exec", each, "sh", "-c", "until test $(stat -c %s /dev/shm/held) = 41943040; do :; done")
    return [
        SampleTarget(
            container_id=each, pid=engine.api("GET", f"/containers/{each}/json")["State"]["Pid"], own_network=True
        )
        for each in ids
    ]


def check_levels(found: Found) -> None:
    """CPU is known, and memory is what they hold and little more."""
    assert None not in found["columns"]["cpu.cores"]
    assert all(40 * MIB < usage < 48 * MIB for usage in found["columns"]["memory.usage"])


def test_an_engine_in_a_container_seen_from_outside(nested_engine: NestedEngine) -> None:
    watched = targets(nested_engine)
    found = sample(watched)
    check_levels(found)
    assert found["columns"]["memory.limit"] == [80 * MIB, AROUND]
    # its pids are those of other processes here
    assert found["columns"]["network.receive"] == [None, None]
    assert set(found["failures"]) == {"network"}
    assert "pid: host" in found["failures"]["network"]


def test_an_engine_in_a_container_seen_from_beside_it(nested_engine: NestedEngine) -> None:
    watched = targets(nested_engine)
    found: Found = json.loads(run_in(nested_engine.command_beside(), *command(watched)))
    check_levels(found)
    assert found["columns"]["memory.limit"] == [80 * MIB, AROUND]
    assert None not in found["columns"]["network.receive"]
    assert found["failures"] == {}


def test_an_agent_in_a_cgroup_namespace_that_sees_the_hosts_tree(engine: PrivateEngine, outer: OuterCgroup) -> None:
    watched = targets(engine)
    found: Found = json.loads(run_in(outer.command(remounted=False), *command(watched)))
    check_levels(found)
    assert found["columns"]["memory.limit"][0] == 80 * MIB
    assert None not in found["columns"]["network.receive"]
    assert found["failures"] == {}


def test_an_agent_in_a_cgroup_namespace_that_sees_only_its_own_tree(engine: PrivateEngine, outer: OuterCgroup) -> None:
    watched = targets(engine)
    found: Found = json.loads(run_in(outer.command(remounted=True), *command(watched)))
    assert {name for name, column in found["columns"].items() if column != [None, None]} == set()
    assert set(found["failures"]) == {"cgroup"}
    assert "cgroup: host" in found["failures"]["cgroup"]

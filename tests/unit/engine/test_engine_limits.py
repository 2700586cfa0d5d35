from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.limits import Limits, Room, differences, least_cpu, limits_of, wanted

ROOM = Room(memory=16_000, cores=4)


@pytest.mark.parametrize(
    ("before", "memory", "swap"),
    [
        (Limits(memory=100, swap=200), 150, 250),
        (Limits(memory=100, swap=200), 50, 150),
        (Limits(memory=100, swap=100), 150, 150),
        (Limits(memory=100, swap=-1), 150, -1),
        (Limits(memory=100, swap=0), 150, 300),
        (Limits(), 150, 300),
        (Limits(swap=-1), 150, -1),
        (Limits(memory=100, swap=50), 150, 150),  # no engine has it so: never less than memory
    ],
)
def test_memory_and_swap_go_together(before: Limits, memory: int, swap: int) -> None:
    assert wanted(before, memory=memory, cpu=None, room=None) == {"Memory": memory, "MemorySwap": swap}


@pytest.mark.parametrize(
    ("before", "cpu", "body"),
    [
        (Limits(), 0.7, {"NanoCpus": 700_000_000}),
        (Limits(nano_cpus=500_000_000), 0.7, {"NanoCpus": 700_000_000}),
        (Limits(quota=50_000), 0.7, {"CpuQuota": 70_000, "CpuPeriod": 100_000}),
        (Limits(quota=50_000), 0.000_000_1, {"CpuQuota": 1, "CpuPeriod": 100_000}),  # refused, but never no limit
        (Limits(quota=-1), 0.7, {"CpuQuota": 70_000, "CpuPeriod": 100_000}),  # a limit that was lifted
        (Limits(quota=-1), 0, {}),
        (Limits(period=50_000), 0.7, {"CpuQuota": 35_000, "CpuPeriod": 50_000}),
        (Limits(period=50_000), 0, {}),
        (Limits(), 0, {}),
        (Limits(nano_cpus=500_000_000), 0, {"NanoCpus": 4_000_000_000}),
        (Limits(quota=50_000), 0, {"CpuQuota": -1, "CpuPeriod": 100_000}),
    ],
)
def test_a_container_keeps_the_way_in_which_its_cpu_is_limited(
    before: Limits, cpu: float, body: dict[str, int]
) -> None:
    assert wanted(before, memory=None, cpu=cpu, room=ROOM) == body


@pytest.mark.parametrize(
    ("host_config", "least"),
    [
        ({}, 0.01),
        ({"NanoCpus": 10**9}, 0.01),
        ({"CpuQuota": 5000, "CpuPeriod": 10_000}, 0.1),
        ({"CpuPeriod": 1000}, 1.0),
    ],
)
def test_the_kernel_takes_no_quota_below_a_millisecond(host_config: dict[object, object], least: float) -> None:
    assert least_cpu(host_config) == least


def test_what_is_left_alone_is_not_sent_and_what_can_not_be_lifted_is_raised() -> None:
    assert wanted(Limits(memory=100, swap=200), memory=None, cpu=None, room=None) == {}
    assert wanted(Limits(), memory=0, cpu=None, room=ROOM) == {}
    lifted = {"Memory": 16_000, "MemorySwap": 32_000}
    assert wanted(Limits(memory=100, swap=200), memory=0, cpu=None, room=ROOM) == lifted
    lifted = {"Memory": 16_000, "MemorySwap": -1}
    assert wanted(Limits(memory=100, swap=-1), memory=0, cpu=None, room=ROOM) == lifted


def test_differences_are_named_and_an_engine_without_swap_is_no_difference() -> None:
    body = {"Memory": 100, "MemorySwap": 200, "NanoCpus": 5, "CpuPeriod": 1}
    assert differences(body, Limits(memory=100, swap=200, nano_cpus=5)) == ()
    assert differences(body, Limits(memory=100, swap=-1, nano_cpus=5)) == ()
    assert differences(body, Limits(memory=99, swap=150)) == (
        "Memory is 99, not 100",
        "MemorySwap is 150, not 200",
        "NanoCpus is 0, not 5",
    )
    assert differences({"CpuQuota": 70}, Limits(quota=60)) == ("CpuQuota is 60, not 70",)


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers())
KEYS = ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod")


@given(
    raw=st.fixed_dictionaries({}, optional={"HostConfig": junk | st.dictionaries(st.sampled_from(KEYS), junk)}),
    memory=st.integers(1, 2**40),
    cpu=st.floats(0.01, 1000),
)
def test_whatever_the_engine_says_swap_is_never_less_than_memory(raw: object, memory: int, cpu: float) -> None:
    before = limits_of(raw)
    body = wanted(before, memory=memory, cpu=cpu, room=ROOM)
    assert body["MemorySwap"] == -1 or body["MemorySwap"] >= body["Memory"] == memory
    assert ("NanoCpus" in body) != ("CpuQuota" in body)
    assert all(isinstance(value, int) for value in body.values())
    after = Limits(
        memory=body["Memory"],
        swap=body["MemorySwap"],
        nano_cpus=body.get("NanoCpus", 0),
        quota=body.get("CpuQuota", 0),
        period=body.get("CpuPeriod", 0),
    )
    assert differences(body, after) == ()
    assert after.cpu == pytest.approx(cpu, abs=1 / after.whole_period + 1e-9)
    assert before.cpu is None or before.cpu > 0

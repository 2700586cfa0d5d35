"""Limits changed on a real engine: in force in the kernel, swap with memory, a quota stays a quota."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.proxy import EngineProxy
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import PermanentError, UnansweredError

MIB = 2**20


@pytest.fixture
def docker(engine: PrivateEngine) -> Iterator[DockerEngine]:
    with (
        closing(engine_calls(engine.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield docker


def limits(engine: PrivateEngine, name: str) -> dict[str, int]:
    host_config = engine.api("GET", f"/containers/{name}/json")["HostConfig"]
    return {key: host_config[key] for key in ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod")}


def in_force(container_id: str, what: str) -> float:
    """What the kernel has: bytes of `memory`, or cores of `cpu`."""
    found = glob.glob(f"/sys/fs/cgroup/**/*{container_id}*", recursive=True)  # noqa: PTH207 - Path.glob ends when another's cgroup goes
    for cgroup in map(Path, found):
        for name in ("memory.max", "memory.limit_in_bytes") if what == "memory" else ("cpu.max", "cpu.cfs_quota_us"):
            if not (cgroup / name).exists():
                continue
            numbers = (cgroup / name).read_text().split()
            if what == "cpu" and len(numbers) == 1:
                numbers += (cgroup / "cpu.cfs_period_us").read_text().split()
            return int(numbers[0]) / (int(numbers[1]) if what == "cpu" else 1)
    raise AssertionError(f"no cgroup of {container_id} has a limit of {what}")


@pytest.mark.parametrize(
    ("options", "memory", "swaps"),
    [
        (["--memory=64m"], (96, 48), (160, 112)),  # the engine's default, 128: the difference of 64 stays
        (["--memory=64m", "--memory-swap=64m"], (96, 48), (96, 48)),
        (["--memory=64m", "--memory-swap=-1"], (96, 48), (-1, -1)),
        (["--memory=64m", "--memory-swap=74m"], (96, 48), (106, 58)),
        ([], (96, 48), (192, 144)),  # without a limit before: the default
    ],
)
async def test_swap_goes_with_memory(
    engine: PrivateEngine, docker: DockerEngine, options: Sequence[str], memory: Sequence[int], swaps: Sequence[int]
) -> None:
    web = engine.run("web", options=options)
    for wanted, swap in zip(memory, swaps, strict=True):
        await docker.resize(web, memory=wanted * MIB, cpu=None)
        has = limits(engine, web)
        assert (has["Memory"], has["MemorySwap"]) == (wanted * MIB, swap if swap < 0 else swap * MIB)
        assert in_force(web, "memory") == wanted * MIB


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"NanoCpus": 700_000_000, "CpuQuota": 0, "CpuPeriod": 0}),
        (["--cpus=0.5"], {"NanoCpus": 700_000_000, "CpuQuota": 0, "CpuPeriod": 0}),
        (["--cpu-quota=50000"], {"NanoCpus": 0, "CpuQuota": 70_000, "CpuPeriod": 100_000}),
        (["--cpu-quota=25000", "--cpu-period=50000"], {"NanoCpus": 0, "CpuQuota": 35_000, "CpuPeriod": 50_000}),
    ],
)
async def test_a_quota_stays_a_quota(
    engine: PrivateEngine, docker: DockerEngine, options: Sequence[str], expected: Mapping[str, int]
) -> None:
    web = engine.run("web", options=options)
    before = await docker.resize(web, memory=None, cpu=0.7)
    assert before == {"memory": 0, "memory_swap": 0, "cpu": 0.5 if options else None}
    has = limits(engine, web)
    assert {key: has[key] for key in expected} == expected
    assert in_force(web, "cpu") == 0.7
    await docker.resize(web, memory=None, cpu=0.3)
    assert in_force(web, "cpu") == 0.3
    detail = (await docker.inspect(web)).detail
    assert detail
    assert detail.cpu_granted == 0.3


async def test_what_was_before_reverts_it(engine: PrivateEngine, docker: DockerEngine) -> None:
    web = engine.run("web", options=["--memory=64m", "--memory-swap=74m", "--cpus=0.5"])
    before = limits(engine, web)
    was = await docker.resize(web, memory=128 * MIB, cpu=1.5)
    memory, cpu = was["memory"], was["cpu"]
    assert isinstance(memory, int)
    await docker.resize(web, memory=memory, cpu=cpu)
    assert limits(engine, web) == before


async def test_no_limit_is_all_that_the_host_has_where_the_engine_takes_none_away(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    info = engine.api("GET", "/info")
    web, quota, free = engine.run("web"), engine.run("quota", options=["--cpu-quota=50000"]), engine.run("free")
    await docker.resize(web, memory=64 * MIB, cpu=0.5)
    await docker.resize(web, memory=0, cpu=0)
    has = limits(engine, web)
    assert (has["Memory"], has["NanoCpus"]) == (info["MemTotal"], info["NCPU"] * 1_000_000_000)
    assert abs(in_force(web, "memory") - info["MemTotal"]) < 2**20
    await docker.resize(quota, memory=None, cpu=0)
    assert limits(engine, quota)["CpuQuota"] == -1
    assert (await docker.resize(quota, memory=None, cpu=0.25))["cpu"] is None
    assert in_force(quota, "cpu") == 0.25
    before = limits(engine, free)
    await docker.resize(free, memory=0, cpu=0)
    assert limits(engine, free) == before


async def test_what_the_engine_refuses_is_permanent_and_changes_nothing(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    web = engine.run("web", options=["--memory=64m"])
    before = limits(engine, web)
    with pytest.raises(PermanentError, match=f"resizing container {web[:12]}: the engine refused.*6MB"):
        await docker.resize(web, memory=MIB, cpu=None)
    with pytest.raises(PermanentError, match="Range of CPUs"):
        await docker.resize(web, memory=None, cpu=10_000)
    assert limits(engine, web) == before


async def test_a_change_whose_answer_is_lost_is_looked_at_before_it_is_called_unanswered(
    engine: PrivateEngine,
) -> None:
    web = engine.run("web", options=["--memory=64m"])
    with (
        EngineProxy(engine.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock(), margin=1)) as docker,
    ):
        swallowed = proxy.blackhole("POST", "/containers/*/update")
        with pytest.raises(UnansweredError):
            await docker.resize(web, memory=96 * MIB, cpu=None)
        swallowed.release()
        assert limits(engine, web)["Memory"] == 64 * MIB
        proxy.lose_answers("/containers/*/update")
        await docker.resize(web, memory=96 * MIB, cpu=None)
        assert limits(engine, web)["Memory"] == 96 * MIB

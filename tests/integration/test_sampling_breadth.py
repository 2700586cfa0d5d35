"""Network, disks, processes, throttling and pressure of real containers on a real engine."""

from __future__ import annotations

import math
import os
import queue
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.moving import run_accounted
from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Source
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.address import resolve_address
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.container import inspected_container
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget
from watchtower_agent.state.sample_targets import SampleTargets

MIB = 1 << 20
NEEDED = frozenset(
    {"cpu.throttled", "memory.working_set", "pids", "io.write", "network.receive", "pressure.cpu", "engine.memory"}
)
BURN = ("sh", "-c", "while :; do :; done")
SLEEP = ("sleep", "600")


def until(batches: queue.Queue[SampleBatch], wanted: Callable[[SampleBatch], bool]) -> SampleBatch:
    """The first batch with a container that is as wanted."""
    for _ in range(100):
        batch = batches.get(timeout=patient(10))
        if batch.targets and wanted(batch):
            return batch
    pytest.fail("no batch was ever as wanted")


class Sampling:
    """A sampler that reads everything at each tick."""

    def __init__(self, engine: PrivateEngine) -> None:
        self._engine = engine
        self.batches: queue.Queue[SampleBatch] = queue.Queue()
        self.sampler = Sampler(reader=Reader(clock=SystemClock(), interval=0.5), deliver=self.batches.put)
        self.sampler.demand(NEEDED, 10.0)
        self.sampler.start()

    def watch(self, *ids: str) -> None:
        """Read these from now on; what was read while they were started, which may take long, is forgotten."""
        self.sampler.watch(tuple(self.target(container_id) for container_id in ids))
        self.batches.queue.clear()

    def target(self, container_id: str) -> SampleTarget:
        seen = self._engine.api("GET", f"/containers/{container_id}/json")
        container = inspected_container(seen)
        assert container is not None
        (target,) = SampleTargets().of([container])
        return target

    def until(self, name: str, wanted: Callable[[float], bool], slot: int = 0) -> SampleBatch:
        """The first batch in which the container's number is as wanted."""
        seen = []
        for _ in range(60):
            batch = self.batches.get(timeout=patient(10))
            if len(batch.targets) > slot:
                seen.append(batch.columns[name][slot])
                if wanted(seen[-1]):
                    return batch
        pytest.fail(f"{name} was never as wanted: {seen}")


@pytest.fixture
def sampling(engine: PrivateEngine) -> Iterator[Sampling]:
    sampling = Sampling(engine)
    yield sampling
    sampling.sampler.stop()


def test_throttling_and_pressure_of_one_that_wants_more_cpu_than_its_quota(
    engine: PrivateEngine, sampling: Sampling
) -> None:
    burner = engine.run("burner", *BURN, options=("--cpus=0.2",))
    free = engine.run("free", *SLEEP)
    sampling.watch(burner, free)
    batch = sampling.until("cpu.throttled", lambda share: share > 50)
    assert math.isnan(batch.columns["cpu.throttled"][1])
    if not math.isnan(batch.columns["pressure.cpu"][0]):  # v1 hosts without the unified hierarchy have none
        sampling.until("pressure.cpu", lambda share: share > 20)
    assert not batch.failures


def test_processes_and_their_limit(engine: PrivateEngine, sampling: Sampling) -> None:
    many = engine.run("many", "sh", "-c", "for i in 1 2 3 4; do sleep 600 & done; wait", options=("--pids-limit=60",))
    sampling.watch(many)
    batch = sampling.until("pids", lambda number: number == 5)
    assert batch.columns["pids.limit"][0] == 60


def test_what_is_written_to_a_disk(engine: PrivateEngine, sampling: Sampling) -> None:
    # synced by itself: v1 accounts what the kernel writes back later to nobody
    script = "while :; do dd if=/dev/zero of=/file bs=1M count=4 conv=fsync 2>/dev/null; sleep 0.1; done"
    writer = run_accounted(engine, "writer", "sh", "-c", script)
    sampling.watch(writer)
    batch = sampling.until("io.write", lambda rate: rate > MIB)
    assert not batch.failures


def test_what_is_sent_and_received_belongs_to_the_network_s_owner(engine: PrivateEngine, sampling: Sampling) -> None:
    engine.docker("network", "create", "lan")
    serve = "mkdir /www && dd if=/dev/zero of=/www/file bs=1M count=2 && exec httpd -f -p 7000 -h /www"
    server = engine.run("server", "sh", "-c", serve, network="lan")
    # at a pace of its own, so that the machine is not busy with it alone
    script = "while :; do wget -q -O /dev/null http://server:7000/file; sleep 0.1; done"
    client = engine.run("client", "sh", "-c", script, network="lan")
    guest = engine.run("guest", *SLEEP, network="container:client")
    host = engine.run("onhost", *SLEEP, network="host")
    sampling.watch(client, server, guest, host)
    # far more than what they say to each other besides, and little enough for a slow machine
    batch = sampling.until("network.receive", lambda rate: rate > MIB / 16)
    assert batch.columns["network.transmit"][1] > MIB / 64
    assert batch.columns["network.errors"][0] >= 0
    assert all(math.isnan(rate) for rate in batch.columns["network.receive"][2:])
    assert not batch.failures


def test_the_stats_api_tells_the_same_numbers(engine: PrivateEngine, sampling: Sampling) -> None:
    calls = EngineCalls(resolve_address(engine.url, None, environment={}), clock=SystemClock())
    batches: queue.Queue[SampleBatch] = queue.Queue()
    reader = Reader(clock=SystemClock(), interval=0.5, source=Source.STATS_API, ask=calls.stats)
    other = Sampler(reader=reader, deliver=batches.put)
    other.demand(NEEDED, 10.0)
    script = "dd if=/dev/zero of=/dev/shm/hog bs=1M count=30 2>/dev/null; sleep 600 & while :; do :; done"
    hog = engine.run("hog", "sh", "-c", script, options=("--cpus=0.5", "--memory=80m", "--pids-limit=60"))
    target = sampling.target(hog)
    sampling.sampler.watch((target,))
    other.watch((target,))
    other.start()
    try:
        sampling.until("memory.working_set", lambda used: used > 30 * MIB)
        # On a machine that others use, too, it takes some looks until it gets all that it may.
        by_files = sampling.until("cpu.percent", lambda share: share == pytest.approx(50, rel=0.3))
        by_api = until(batches, lambda batch: bool(batch.columns["cpu.percent"][0] == pytest.approx(50, rel=0.3)))
    finally:
        other.stop()
        calls.close()
    for name in ("memory.limit", "pids", "pids.limit"):
        assert by_api.columns[name][0] == by_files.columns[name][0], name
    for name in ("memory.usage", "memory.working_set", "memory.percent"):
        assert by_api.columns[name][0] == pytest.approx(by_files.columns[name][0], rel=0.05), name
    for batch in (by_api, by_files):
        assert batch.columns["cpu.percent_of_limit"][0] == pytest.approx(2 * batch.columns["cpu.percent"][0])
    assert not by_api.failures


def test_auto_asks_the_engine_where_no_cgroup_is_to_be_found(engine: PrivateEngine, tmp_path: Path) -> None:
    calls = EngineCalls(resolve_address(engine.url, None, environment={}), clock=SystemClock())
    batches: queue.Queue[SampleBatch] = queue.Queue()
    reader = Reader(clock=SystemClock(), interval=0.2, cgroup_root=str(tmp_path), source=Source.AUTO, ask=calls.stats)
    sampler = Sampler(reader=reader, deliver=batches.put)
    sampler.demand(NEEDED, 10.0)
    sampler.watch((SampleTarget(container_id=engine.run("box", *SLEEP)),))
    sampler.start()
    try:
        batch = until(batches, lambda batch: batch.columns["memory.usage"][0] > 0)
    finally:
        sampler.stop()
        calls.close()
    assert sampler.counters.source is Source.STATS_API
    assert set(batch.failures) == {"cgroup"}
    assert "asked instead" in batch.failures["cgroup"]


def test_the_stats_api_of_a_frozen_engine_holds_up_nothing_and_is_told(own_engine: PrivateEngine) -> None:
    timeout = patient(0.5)
    calls = EngineCalls(resolve_address(own_engine.url, None, environment={}), clock=SystemClock(), timeout=timeout)
    batches: queue.Queue[SampleBatch] = queue.Queue()
    reader = Reader(clock=SystemClock(), interval=patient(0.2), source=Source.STATS_API, ask=calls.stats)
    sampler = Sampler(reader=reader, deliver=batches.put)
    sampler.demand(NEEDED, 10.0)
    sampler.engine(LocalEngine(data_root=str(own_engine.directory), pid=own_engine.pid))
    sampler.watch(tuple(SampleTarget(container_id=own_engine.run(name, *SLEEP)) for name in ("one", "two")))
    sampler.start()

    def known(batch: SampleBatch) -> bool:
        return all(usage > 0 for usage in batch.columns["memory.usage"])

    try:
        until(batches, known)
        own_engine.freeze()
        frozen = until(batches, lambda batch: "stats_api" in batch.failures)
        lost = until(batches, lambda batch: all(map(math.isnan, batch.columns["memory.usage"])))
        for batch in (frozen, lost):  # the host and the engine's process are read still
            assert batch.host["host.memory.available"] > 0
            assert batch.host["engine.threads"] > 1
        assert sampler.counters.longest_duration < timeout, "a tick does not wait for an answer"
        own_engine.thaw()
        thawed = until(batches, lambda batch: known(batch) and not batch.failures)
    finally:
        own_engine.thaw()
        sampler.stop()
        calls.close()
    assert thawed.at.monotonic > lost.at.monotonic


def test_a_container_whose_statistics_hang_is_left_out_alone_and_named(own_engine: PrivateEngine) -> None:
    calls = EngineCalls(
        resolve_address(own_engine.url, None, environment={}), clock=SystemClock(), timeout=patient(1.5)
    )
    batches: queue.Queue[SampleBatch] = queue.Queue()
    reader = Reader(clock=SystemClock(), interval=patient(0.5), source=Source.STATS_API, ask=calls.stats)
    sampler = Sampler(reader=reader, deliver=batches.put)
    sampler.demand(NEEDED, 10.0)
    stuck, well = (own_engine.run(name, *SLEEP) for name in ("stuck", "well"))
    sampler.watch((SampleTarget(container_id=stuck, name="stuck"), SampleTarget(container_id=well, name="well")))
    sampler.start()
    main = own_engine.api("GET", f"/containers/{stuck}/json")["State"]["Pid"]
    shim = int(Path(f"/proc/{main}/stat").read_text().rpartition(") ")[2].split()[1])

    def usage(batch: SampleBatch) -> list[bool]:
        return [number > 0 for number in batch.columns["memory.usage"]]

    try:
        until(batches, lambda batch: usage(batch) == [True, True])
        os.kill(shim, signal.SIGSTOP)
        lost = until(batches, lambda batch: not usage(batch)[0])
        told = until(batches, lambda batch: "the next try is in" in batch.failures.get("stats_api", ""))
        after = [batches.get(timeout=patient(10)) for _ in range(5)]
        assert [usage(batch) for batch in (lost, told, *after)] == 7 * [[False, True]]
        assert told.failures["stats_api"].startswith("stuck: ")
        os.kill(shim, signal.SIGCONT)
        until(batches, lambda batch: usage(batch) == [True, True] and not batch.failures)
    finally:
        os.kill(shim, signal.SIGCONT)
        sampler.stop()
        calls.close()

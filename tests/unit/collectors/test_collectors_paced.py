from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cgroups import Bench, FakeTree, fake_proc, full_id, v1_tree, v2_tree
from watchtower_agent.collectors.request import Demand
from watchtower_agent.model.sample import SampleTarget, Total

ID, OTHER = full_id(1), full_id(2)
PATH = f"docker/{ID}"
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 7777777 10 9 9 0 0 0 0 7777777 10 9 9 0 0 0 0
  eth0:{received:8d} 10 1 2 0 0 0 0 {sent:8d} 12 3 4 0 0 0 0
  eth1:    1000 10 0 0 0 0 0 0 2000 12 0 0 0 0 0 0
"""


@pytest.fixture(params=[v1_tree, v2_tree], ids=["v1", "v2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FakeTree:
    make: Callable[[Path], FakeTree] = request.param
    tree = make(tmp_path / "cgroup")
    tree.add(PATH)
    return tree


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    return fake_proc(tmp_path / "proc")


@pytest.fixture
def bench(tree: FakeTree, proc: Path) -> Bench:
    bench = Bench(tree, proc)
    bench.watch(ID)
    return bench


def need(bench: Bench, *names: str, metrics_interval: float = 10.0) -> None:
    """Let policies need these at each tick."""
    bench.demand = Demand(every_tick=frozenset(names), metrics_interval=metrics_interval)


def move_blocks(tree: FakeTree, read: int, written: int) -> None:
    if tree.hierarchies:
        lines = (
            f"8:0 Read {read - 1}\n8:0 Write {written - 2}\n8:0 Total 99\n8:16 Read 1\n8:16 Write 2\n"
            "8:16 Sync 77\nTotal 9\n"
        )
        tree.write(PATH, "blkio.throttle.io_service_bytes_recursive", lines)
    else:
        lines = f"254:0 rbytes={read - 1} wbytes={written - 2} rios=3 wios=4\n8:0 rbytes=1 wbytes=2 rios=0 wios=0\n"
        tree.write(PATH, "io.stat", lines)


def use_cpu(tree: FakeTree, seconds: float) -> None:
    if tree.hierarchies:
        tree.write(PATH, "cpuacct.usage", f"{round(seconds * 1e9)}\n")
    else:
        tree.write(PATH, "cpu.stat", f"usage_usec {round(seconds * 1e6)}\nuser_usec 0\n")


def throttle(tree: FakeTree, periods: int, throttled: int) -> None:
    tree.write(PATH, "cpu.stat", f"usage_usec 5\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec 9\n")


def limit_cpu(tree: FakeTree, text: str) -> None:
    name = "cpu.cfs_quota_us" if tree.hierarchies else "cpu.max"
    tree.write(PATH, name, "-1\n" if tree.hierarchies and text == "max" else f"{text}\n")


# --- pace ---


def test_what_no_policy_needs_is_read_at_the_metrics_interval(bench: Bench, tree: FakeTree) -> None:
    assert bench.tick()["pids"] == 2
    tree.write(PATH, "pids.current", "7\n")
    use_cpu(tree, 1000.0)
    assert [bench.tick()["pids"] for _ in range(10)] == [2] * 9 + [7]


def test_what_only_its_processes_change_is_carried_while_they_use_no_cpu_time_and_for_a_minute_at_most(
    bench: Bench, tree: FakeTree
) -> None:
    use_cpu(tree, 1000.0)
    assert bench.tick()["pids"] == 2
    tree.write(PATH, "pids.current", "7\n")
    assert [bench.tick(10.0)["pids"] for _ in range(6)] == [2] * 5 + [7]
    tree.write(PATH, "pids.current", "8\n")
    use_cpu(tree, 1000.001)
    assert bench.tick(10.0)["pids"] == 8


def test_what_a_policy_needs_is_read_at_each_tick(bench: Bench, tree: FakeTree) -> None:
    need(bench, "pids")
    assert bench.tick()["pids"] == 2
    tree.write(PATH, "pids.current", "7\n")
    assert bench.tick()["pids"] == 7


def test_a_container_that_is_new_is_read_at_once_and_the_others_are_not(bench: Bench, tree: FakeTree) -> None:
    bench.tick()
    tree.write(PATH, "pids.current", "7\n")
    tree.add(f"docker/{OTHER}", pids__current="3\n")
    bench.watch(ID, OTHER)
    assert list(bench.tick().column("pids")) == [2, 3]


def test_a_file_that_cannot_be_read_is_said_at_every_tick_until_it_can(bench: Bench, tree: FakeTree) -> None:
    path = tree.file(PATH, "pids.current")
    path.unlink()
    path.mkdir()
    for _ in range(3):
        sample = bench.tick()
        assert math.isnan(sample["pids"])
        assert "pids.current can't be read" in sample.failures["processes"]
        assert set(sample.failures) == {"processes"}
    path.rmdir()
    path.write_text("4\n")
    need(bench, "pids")
    sample = bench.tick()
    assert sample["pids"] == 4
    assert not sample.failures


# --- processes ---


def test_processes_and_their_limit(bench: Bench, tree: FakeTree) -> None:
    assert bench.tick()["pids.limit"] == 50
    need(bench, "pids.limit")
    tree.write(PATH, "pids.max", "max\n")
    assert bench.tick(59.0)["pids.limit"] == 50
    sample = bench.tick()
    assert math.isnan(sample["pids.limit"])
    assert sample["pids"] == 2
    tree.write(PATH, "pids.max", "60\n")
    assert bench.tick(anew=frozenset({ID}))["pids.limit"] == 60


# --- throttling ---


def test_throttling_is_the_share_of_periods_used_up(bench: Bench, tree: FakeTree) -> None:
    need(bench, "cpu.throttled")
    limit_cpu(tree, "50000")
    throttle(tree, 100, 10)
    assert math.isnan(bench.tick()["cpu.throttled"])
    throttle(tree, 110, 14)
    assert bench.tick()["cpu.throttled"] == pytest.approx(40)
    assert bench.tick()["cpu.throttled"] == 0  # with a quota, and idle
    throttle(tree, 5, 1)  # another life
    assert math.isnan(bench.tick()["cpu.throttled"])
    throttle(tree, 15, 11)
    assert bench.tick()["cpu.throttled"] == pytest.approx(100)


def test_another_quota_and_another_limit_count_at_once(bench: Bench, tree: FakeTree) -> None:
    limit_cpu(tree, "50000" if tree.hierarchies else "50000 100000")
    throttle(tree, 100, 10)
    bench.tick()
    throttle(tree, 200, 60)
    assert bench.tick(10)["cpu.throttled"] == pytest.approx(50)
    limit_cpu(tree, "90000" if tree.hierarchies else "90000 100000")
    tree.write(PATH, "pids.max", "77\n")
    throttle(tree, 210, 70)
    assert bench.tick(anew=frozenset({OTHER}))["cpu.throttled"] == pytest.approx(50)
    anew = bench.tick(anew=frozenset({ID}))
    assert math.isnan(anew["cpu.throttled"]), "what was throttled before says nothing of the new quota"
    assert anew["pids.limit"] == 77
    throttle(tree, 220, 71)
    assert bench.tick(10)["cpu.throttled"] == pytest.approx(10)


def test_what_was_throttled_before_says_nothing_of_a_quota_that_nobody_told_of(bench: Bench, tree: FakeTree) -> None:
    need(bench, "cpu.throttled")
    limit_cpu(tree, "50000" if tree.hierarchies else "50000 100000")
    throttle(tree, 100, 10)
    bench.tick()
    limit_cpu(tree, "90000" if tree.hierarchies else "90000 100000")
    throttle(tree, 200, 60)
    assert math.isnan(bench.tick(60)["cpu.throttled"])
    throttle(tree, 210, 61)
    assert bench.tick()["cpu.throttled"] == pytest.approx(10)


def test_throttling_without_a_quota_is_unknown(bench: Bench, tree: FakeTree) -> None:
    need(bench, "cpu.throttled")
    limit_cpu(tree, "max")
    for periods in (100, 110, 120):
        throttle(tree, periods, 10)
        assert math.isnan(bench.tick()["cpu.throttled"])


# --- block I/O ---


def test_block_io_is_a_rate_over_all_devices(bench: Bench, tree: FakeTree) -> None:
    need(bench, "io.read")
    move_blocks(tree, 1000, 5000)
    first = bench.tick()
    assert math.isnan(first["io.read"])
    move_blocks(tree, 3000, 5000)
    second = bench.tick(2.0)
    assert (second["io.read"], second["io.write"]) == (1000, 0)
    move_blocks(tree, 2000, 9000)  # a device went away
    third = bench.tick()
    assert math.isnan(third["io.read"])
    assert third["io.write"] == 4000


def test_where_the_kernel_has_no_account_of_blocks_they_are_unknown_and_it_is_no_fault(
    bench: Bench, tree: FakeTree
) -> None:
    name = "blkio.throttle.io_service_bytes_recursive" if tree.hierarchies else "io.stat"
    tree.file(PATH, name).unlink()
    sample = bench.tick()
    assert math.isnan(sample["io.read"])
    assert not sample.failures


# --- pressure ---


def press(tree: FakeTree, resource: str, some: int, full: int) -> None:
    """Microseconds stalled."""
    assert tree.unified is not None
    path = tree.unified / PATH / f"{resource}.pressure"
    path.write_text(
        f"some avg10=9.99 avg60=0.00 avg300=0.00 total={some}\nfull avg10=9.99 avg60=0.00 avg300=0.00 total={full}\n"
    )


@pytest.mark.parametrize("make", [v2_tree, lambda root: FakeTree(root, v1=("cpu", "cpuacct"), unified="unified")])
def test_pressure_is_the_share_of_time_stalled(make: Callable[[Path], FakeTree], tmp_path: Path, proc: Path) -> None:
    tree = make(tmp_path / "cgroup")
    tree.add(PATH)
    bench = Bench(tree, proc)
    bench.watch(ID)
    need(bench, "pressure.cpu", "pressure.memory", "pressure.io")
    for resource in ("cpu", "memory", "io"):
        press(tree, resource, 1_000_000, 500_000)
    assert math.isnan(bench.tick()["pressure.cpu"])
    press(tree, "cpu", 1_200_000, 500_000)
    press(tree, "memory", 1_300_000, 600_000)
    press(tree, "io", 9_000_000, 600_000)
    sample = bench.tick()
    assert sample["pressure.cpu"] == pytest.approx(20)
    assert sample["pressure.memory"] == pytest.approx(30)
    assert sample["pressure.memory_full"] == pytest.approx(10)
    assert sample["pressure.io"] == 100  # the kernel's clock and ours differ: never more than all of the time
    assert sample["pressure.io_full"] == pytest.approx(10)


def test_the_totals_behind_the_rates_are_told_and_of_cpu_both_kinds(tmp_path: Path, proc: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(PATH)
    bench = Bench(tree, proc)
    bench.watch(ID)
    for resource in ("cpu", "memory", "io"):
        press(tree, resource, 1_000_000, 500_000)
    move_blocks(tree, 100, 200)
    limit_cpu(tree, "50000 100000")
    throttle(tree, 40, 10)
    first = bench.tick().batch.totals
    assert {total: list(first[total]) for total in (Total.READ, Total.WRITTEN, Total.PERIODS, Total.THROTTLED)} == {
        Total.READ: [100],
        Total.WRITTEN: [200],
        Total.PERIODS: [40],
        Total.THROTTLED: [10],
    }
    assert [first[total][0] for total in (Total.CPU_WAITING, Total.CPU_STALLED)] == [
        pytest.approx(100),
        pytest.approx(50),
    ]
    assert [first[total][0] for total in (Total.IO_WAITING, Total.IO_STALLED)] == [
        pytest.approx(100),
        pytest.approx(50),
    ]

    move_blocks(tree, 300, 200)
    assert bench.tick().batch.totals[Total.READ] is first[Total.READ], "carried until it is read again"
    bench.demand = Demand(every_tick=frozenset({"io.read"}))
    assert list(bench.tick().batch.totals[Total.READ]) == [300]


def test_without_the_unified_hierarchy_pressure_is_unknown_and_it_is_no_fault(tmp_path: Path, proc: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    tree.add(PATH)
    bench = Bench(tree, proc)
    bench.watch(ID)
    sample = bench.tick()
    assert math.isnan(sample["pressure.cpu"])
    assert not sample.failures


def test_the_hosts_pressure(bench: Bench, proc: Path) -> None:
    folder = proc / "pressure"
    folder.mkdir()
    need(bench, "host.pressure.cpu")
    for name, total in (("cpu", 100_000), ("memory", 0), ("io", 0)):
        (folder / name).write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n")
    assert "host.pressure.cpu" not in bench.tick().host
    (folder / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=350000\n")
    sample = bench.tick()
    assert sample.host["host.pressure.cpu"] == pytest.approx(25)
    assert sample.host["host.pressure.memory"] == 0
    assert not sample.failures


@pytest.mark.parametrize(("needed", "seen"), [((), [0.5] * 9 + [1.0]), (("host.load5",), [1.0] * 10)])
def test_the_hosts_load_is_read_at_each_tick_only_where_a_policy_needs_it(
    bench: Bench, proc: Path, needed: tuple[str, ...], seen: list[float]
) -> None:
    need(bench, *needed)
    bench.tick()
    (proc / "loadavg").write_text("4.00 1.00 0.50 1/100 4242\n")
    assert [bench.tick().host["host.load1"] for _ in range(10)] == seen


# --- network ---


def process(proc: Path, pid: int, container_id: str, *, received: int = 0, sent: int = 0) -> None:
    """A main process with its network."""
    folder = proc / str(pid)
    (folder / "net").mkdir(parents=True, exist_ok=True)
    (folder / "cgroup").write_text(f"0::/docker/{container_id}\n")
    (folder / "net" / "dev").write_text(NET_DEV.format(received=received, sent=sent))


def is_open(path: Path) -> bool:
    """Whether this process has the file open."""
    return any(fd.is_symlink() and fd.readlink() == path for fd in Path("/proc/self/fd").iterdir())


def with_network(pid: int, *, own: bool = True, container_id: str = ID) -> SampleTarget:
    return SampleTarget(container_id=container_id, pid=pid, started_at=1.0, own_network=own)


def test_network_is_a_rate_over_all_interfaces_but_the_loopback(bench: Bench, proc: Path) -> None:
    need(bench, "network.receive")
    process(proc, 7, ID, received=1000, sent=500)
    bench.watch(with_network(7))
    assert math.isnan(bench.tick()["network.receive"])
    process(proc, 7, ID, received=3000, sent=500)
    sample = bench.tick(2.0)
    assert sample["network.receive"] == 1000
    assert sample["network.transmit"] == 0
    assert sample["network.errors"] == 0


@pytest.mark.parametrize("target", [with_network(7, own=False), with_network(0)], ids=["not its own", "no pid"])
def test_a_network_that_is_not_its_own_is_unknown(bench: Bench, proc: Path, target: SampleTarget) -> None:
    need(bench, "network.receive")
    process(proc, 7, ID, received=1000)
    bench.watch(target)
    for received in (1000, 3000, 5000):
        process(proc, 7, ID, received=received)
        assert math.isnan(bench.tick()["network.receive"])


def test_a_pid_that_is_another_containers_by_now_is_not_believed(bench: Bench, proc: Path) -> None:
    need(bench, "network.receive")
    bench.watch(with_network(7))
    samples = []
    for received in (1000, 3000, 5000):
        process(proc, 7, OTHER, received=received)
        samples.append(bench.tick())
    assert all(math.isnan(sample["network.receive"]) for sample in samples)
    sample = samples[-1]
    assert "(pid 7, says the engine)" in sample.failures["network"]
    assert "pid: host" in sample.failures["network"]
    process(proc, 7, ID, received=6000)
    assert not bench.tick().failures


def test_a_process_that_ended_this_moment_is_no_failure(bench: Bench) -> None:
    need(bench, "network.receive")
    bench.watch(with_network(7))
    assert not bench.tick().failures
    bench.watch(replace(with_network(7), started_at=2.0))
    assert not bench.tick().failures


def test_only_a_loopback_is_no_network(bench: Bench, proc: Path) -> None:
    need(bench, "network.receive")
    process(proc, 7, ID)
    (proc / "7" / "net" / "dev").write_text("\n".join(NET_DEV.splitlines()[:3]) + "\n")
    bench.watch(with_network(7))
    bench.tick()
    assert math.isnan(bench.tick()["network.receive"])


def test_the_end_of_a_container_lets_its_network_go(bench: Bench, proc: Path) -> None:
    process(proc, 7, ID)
    bench.watch(with_network(7))
    bench.tick()
    assert is_open(proc / "7" / "net" / "dev")
    bench.watch()
    bench.tick()
    assert not is_open(proc / "7" / "net" / "dev")


def test_a_pid_that_becomes_known_later_is_followed_then(bench: Bench, proc: Path) -> None:
    process(proc, 7, ID, received=1000)
    bench.watch(SampleTarget(container_id=ID, own_network=True))
    bench.tick()
    bench.watch(with_network(7))
    bench.tick()
    process(proc, 7, ID, received=2000)
    need(bench, "network.receive")
    assert bench.tick()["network.receive"] == 1000

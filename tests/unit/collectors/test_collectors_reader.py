from __future__ import annotations

import math
import resource
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.cgroups import GIB, Bench, FakeTree, SteppedClock, fake_proc, full_id, v1_tree, v2_tree
from watchtower_agent.collectors.cgroup_paths import Locator
from watchtower_agent.collectors.files import Descriptors, KeptFile, raise_descriptor_limit, read_once
from watchtower_agent.collectors.reader import MANY, Reader
from watchtower_agent.collectors.request import Demand, Request, Source
from watchtower_agent.collectors.roster import LONGEST_SEARCH_WAIT
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.sample import SampleTarget

ID = full_id(1)
PATH = f"docker/{ID}"
NESTED = (f"outer/inner/{ID}", "outer/inner", "outer", ".")
"""A container and all that is above it. The root is a cgroup as any other within a cgroup namespace."""
MIB = 1 << 20

Make = Callable[[Path], FakeTree]


@pytest.fixture(params=[v1_tree, v2_tree], ids=["v1", "v2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FakeTree:
    make: Make = request.param
    tree = make(tmp_path / "cgroup")
    tree.add(PATH)
    return tree


@pytest.fixture
def bench(tree: FakeTree, tmp_path: Path) -> Bench:
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    return bench


def use_cpu(tree: FakeTree, seconds: float, path: str = PATH) -> None:
    """Set the CPU time used."""
    if tree.hierarchies:
        tree.write(path, "cpuacct.usage", f"{round(seconds * 1e9)}\n")
    else:
        tree.write(path, "cpu.stat", f"usage_usec {round(seconds * 1e6)}\nuser_usec 0\nsystem_usec 0\n")


def use_memory(tree: FakeTree, usage: int, inactive: int, path: str = PATH) -> None:
    """Set the memory used, and how much of it is inactive page cache."""
    if tree.hierarchies:
        tree.write(path, "memory.usage_in_bytes", f"{usage}\n")
        tree.write(path, "memory.stat", f"cache 1\ninactive_file 1\ntotal_inactive_file {inactive}\ntotal_x 1\n")
    else:
        tree.write(path, "memory.current", f"{usage}\n")
        tree.write(path, "memory.stat", f"anon 1\ninactive_file {inactive}\nactive_file 1\n")


def limit_memory(tree: FakeTree, limit: int | None, path: str = PATH) -> None:
    """Set a cgroup's own memory limit."""
    if tree.hierarchies:
        tree.write(path, "memory.limit_in_bytes", f"{9223372036854771712 if limit is None else limit}\n")
    else:
        tree.write(path, "memory.max", "max\n" if limit is None else f"{limit}\n")


def limit_cpu(tree: FakeTree, cores: float | None, cpus: str = "0-3", path: str = PATH) -> None:
    if tree.hierarchies:
        tree.write(path, "cpu.cfs_quota_us", "-1\n" if cores is None else f"{round(cores * 100_000)}\n")
        tree.write(path, "cpu.cfs_period_us", "100000\n")
        tree.write(path, "cpuset.cpus", f"{cpus}\n")
    else:
        tree.write(path, "cpu.max", "max 100000\n" if cores is None else f"{round(cores * 100_000)} 100000\n")
        tree.write(path, "cpuset.cpus.effective", f"{cpus}\n")


def count_oom(tree: FakeTree, kills: int) -> None:
    if tree.hierarchies:
        tree.write(PATH, "memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
    else:
        tree.write(PATH, "memory.events", f"low 0\nhigh 0\nmax 0\noom 9\noom_kill {kills}\noom_group_kill 0\n")


# --- CPU ---


def test_levels_at_the_first_tick_and_rates_at_the_second(bench: Bench, tree: FakeTree) -> None:
    use_cpu(tree, 10.0)
    first = bench.tick()
    assert first["memory.limit"] == 64 * MIB
    assert first["memory.usage"] > 20 * MIB
    assert math.isnan(first["cpu.cores"])
    assert math.isnan(first["cpu.percent"])
    assert math.isnan(first["cpu.percent_of_limit"])

    use_cpu(tree, 10.3)
    second = bench.tick()
    assert second["cpu.cores"] == pytest.approx(0.3)
    assert second["cpu.percent"] == pytest.approx(30)
    assert second["cpu.percent_of_limit"] == pytest.approx(60)  # the sample's quota is half a core
    assert not second.failures


def test_a_rate_is_over_the_time_that_passed(bench: Bench, tree: FakeTree) -> None:
    use_cpu(tree, 10.0)
    bench.tick()
    use_cpu(tree, 11.0)
    assert bench.tick(4.0)["cpu.cores"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("cores", "cpus", "percent"),
    [(0.5, "0-3", 200), (None, "0-1", 50), (None, "0-3", 25), (8.0, "0-7", 25), (3.0, "0,2", 50)],
    ids=["quota", "cpuset", "online", "online below quota", "cpuset below quota"],
)
def test_the_limit_is_the_least_of_quota_cpuset_and_processors(
    bench: Bench, tree: FakeTree, cores: float | None, cpus: str, percent: float
) -> None:
    limit_cpu(tree, cores, cpus)
    use_cpu(tree, 10.0)
    bench.tick()
    use_cpu(tree, 11.0)
    assert bench.tick()["cpu.percent_of_limit"] == pytest.approx(percent)


def test_a_quota_that_was_changed_behind_the_engines_back_is_seen_within_a_minute(bench: Bench, tree: FakeTree) -> None:
    bench.tick()
    limit_cpu(tree, 1.0)
    use_cpu(tree, 100.0)
    bench.tick(59.0)
    use_cpu(tree, 101.0)
    assert bench.tick()["cpu.percent_of_limit"] == pytest.approx(100)


def test_a_counter_that_went_down_discards_that_sample(bench: Bench, tree: FakeTree) -> None:
    use_cpu(tree, 10.0)
    bench.tick()
    use_cpu(tree, 1.0)
    assert math.isnan(bench.tick()["cpu.cores"])
    use_cpu(tree, 1.5)
    assert bench.tick()["cpu.cores"] == pytest.approx(0.5)


@settings(deadline=None)  # a slow machine is no failure
@given(st.lists(st.integers(min_value=0, max_value=2**62) | st.binary(max_size=20), max_size=8))
def test_no_rate_is_ever_negative(counters: list[int | bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree = v1_tree(Path(directory, "cgroup"))
        tree.add(PATH)
        bench = Bench(tree, fake_proc(Path(directory, "proc")))
        bench.watch(ID)
        for counter in counters:
            content = counter if isinstance(counter, bytes) else b"%d\n" % counter
            for name in ("cpuacct.usage", "memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes"):
                tree.file(PATH, name).write_bytes(content)
            sample = bench.tick()
            assert not sample.failures
            assert all(math.isnan(value) or value >= 0 for column in sample.batch.columns.values() for value in column)
        bench.reader.close()


# --- memory ---


@pytest.mark.parametrize(("usage", "inactive", "expected"), [(100, 30, 70), (100, 0, 100), (100, 130, 0)])
def test_the_working_set_is_usage_without_inactive_page_cache(
    bench: Bench, tree: FakeTree, usage: int, inactive: int, expected: int
) -> None:
    use_memory(tree, usage * MIB, inactive * MIB)
    limit_memory(tree, 200 * MIB)
    sample = bench.tick()
    assert sample["memory.usage"] == usage * MIB
    assert sample["memory.working_set"] == expected * MIB
    assert sample["memory.percent"] == pytest.approx(expected / 2)


def test_without_a_limit_the_hosts_memory_is_the_limit(bench: Bench, tree: FakeTree) -> None:
    limit_memory(tree, None)
    assert bench.tick()["memory.limit"] == 8 * GIB


def test_a_limit_above_the_hosts_memory_is_clamped(bench: Bench, tree: FakeTree) -> None:
    limit_memory(tree, 800 * GIB)
    assert bench.tick()["memory.limit"] == 8 * GIB


@pytest.fixture
def nested(tree: FakeTree, tmp_path: Path) -> Bench:
    """Reads one container in `outer/inner`, without limits anywhere."""
    tree.remove(PATH)
    tree.add(f"outer/inner/{ID}")
    for path in NESTED:
        limit_memory(tree, None, path)
        limit_cpu(tree, None, path=path)
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(SampleTarget(container_id=ID, cgroup_parent="/outer/inner"))
    return bench


@pytest.mark.parametrize("limited", NESTED)
def test_the_smallest_memory_limit_from_a_container_upwards_counts(nested: Bench, tree: FakeTree, limited: str) -> None:
    for path in NESTED:
        limit_memory(tree, 3 * GIB, path)
    limit_memory(tree, 2 * GIB, limited)
    assert nested.tick()["memory.limit"] == 2 * GIB


@pytest.mark.parametrize("limited", NESTED)
def test_the_smallest_quota_from_a_container_upwards_counts(nested: Bench, tree: FakeTree, limited: str) -> None:
    for path in NESTED:
        limit_cpu(tree, 2.0, path=path)
    limit_cpu(tree, 0.5, path=limited)
    use_cpu(tree, 10.0, NESTED[0])
    nested.tick()
    use_cpu(tree, 10.25, NESTED[0])
    assert nested.tick()["cpu.percent_of_limit"] == pytest.approx(50)


def test_limits_above_are_read_every_minute_for_all(nested: Bench, tree: FakeTree) -> None:
    nested.tick()
    limit_memory(tree, GIB, "outer")
    assert nested.tick(8.0)["memory.limit"] == 8 * GIB
    assert nested.tick(52.0)["memory.limit"] == GIB


def test_a_cpuset_above_counts_where_its_controller_is_not_handed_down(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(PATH)
    tree.file(PATH, "cpuset.cpus.effective").unlink()
    tree.write("docker", "cpuset.cpus.effective", "0-1\n")
    tree.write(PATH, "cpu.max", "max 100000\n")
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    use_cpu(tree, 10.0)
    bench.tick()
    use_cpu(tree, 11.0)
    assert bench.tick()["cpu.percent_of_limit"] == pytest.approx(50)


def test_a_limit_above_that_can_not_be_read_leaves_what_depends_on_it_unknown(nested: Bench, tree: FakeTree) -> None:
    for name in ("cpu.cfs_quota_us", "memory.limit_in_bytes") if tree.hierarchies else ("cpu.max", "memory.max"):
        tree.file("outer", name).unlink()
        tree.file("outer", name).mkdir()
    nested.tick()
    for _ in range(2):
        sample = nested.tick()
        for name in ("cpu.percent_of_limit", "memory.limit", "memory.percent"):
            assert math.isnan(sample[name]), name
        for name in ("cpu.cores", "memory.usage"):
            assert not math.isnan(sample[name]), name
        assert {"cpu", "memory"} <= sample.failures.keys()
        assert "/outer/" in sample.failures["cpu"]


def test_usage_is_carried_while_the_cpu_time_used_can_not_have_filled_a_hundredth_of_the_limit(
    bench: Bench, tree: FakeTree
) -> None:
    """A second of CPU time fills 20 GB at the most: 1 % of 2 GB takes a millisecond."""
    limit_memory(tree, 2_000_000_000)
    use_cpu(tree, 10.0)
    use_memory(tree, MIB, 0)
    bench.tick()  # its limit is not known yet when this reads its usage
    bench.tick()
    seen = []
    for spent in (10.0, 10.0005, 10.001, 10.0015, 10.002, 10.0025, 10.003):
        use_cpu(tree, spent)
        use_memory(tree, round(spent * 1e6), 0)
        seen.append(bench.tick()["memory.usage"])
    assert seen == [MIB, MIB, MIB, 10_001_500, 10_001_500, 10_001_500, 10_003_000]


def test_usage_is_read_at_the_metrics_interval_whatever_the_cpu_time(bench: Bench, tree: FakeTree) -> None:
    bench.demand = Demand(metrics_interval=5.0)
    use_memory(tree, 10 * MIB, 0)
    bench.tick()
    bench.tick()
    use_memory(tree, 20 * MIB, 0)
    assert [bench.tick()["memory.usage"] // MIB for _ in range(4)] == [10, 10, 10, 20]


@pytest.mark.parametrize("name", ["memory.usage", "memory.working_set", "memory.percent"])
def test_a_policy_that_asks_for_memory_has_the_usage_read_at_each_tick(bench: Bench, tree: FakeTree, name: str) -> None:
    bench.demand = Demand(every_tick=frozenset({name}))
    bench.tick()
    for size in (10, 20, 30):
        use_memory(tree, size * MIB, 0)
        assert bench.tick()["memory.usage"] == size * MIB


@pytest.mark.parametrize("limits", [(200 * GIB, MIB), (MIB, 200 * GIB)])
def test_another_limit_is_another_bound_for_what_is_carried(
    bench: Bench, tree: FakeTree, limits: tuple[int, int]
) -> None:
    limit_memory(tree, limits[0])
    use_cpu(tree, 10.0)
    bench.tick()
    bench.tick()
    limit_memory(tree, limits[1])
    bench.tick(anew=frozenset({ID}))
    bench.tick()
    use_cpu(tree, 10.001)
    use_memory(tree, 77 * MIB, 0)
    assert (bench.tick()["memory.usage"] == 77 * MIB) == (limits[1] == MIB)


def test_where_the_cpu_time_is_unknown_usage_is_read_at_each_tick(bench: Bench, tree: FakeTree) -> None:
    tree.file(PATH, "cpuacct.usage" if tree.hierarchies else "cpu.stat").write_text("nonsense\n")
    for size in (10, 20, 30):
        use_memory(tree, size * MIB, 0)
        assert bench.tick()["memory.usage"] == size * MIB


def test_usage_that_could_not_be_read_is_tried_at_the_next_tick_though_no_cpu_time_is_used(
    bench: Bench, tree: FakeTree
) -> None:
    use_memory(tree, 10 * MIB, 0)
    use_cpu(tree, 10.0)
    bench.tick()
    file = "memory.usage_in_bytes" if tree.hierarchies else "memory.current"
    tree.write(PATH, file, "no number\n")
    use_cpu(tree, 100.0)
    assert math.isnan(bench.tick()["memory.usage"])
    use_memory(tree, 20 * MIB, 0)
    assert bench.tick()["memory.usage"] == 20 * MIB


def test_carried_usage_follows_its_container(bench: Bench, tree: FakeTree) -> None:
    ids = [full_id(n) for n in range(1, 4)]
    for number, container_id in enumerate(ids):
        tree.add(f"docker/{container_id}")
        use_memory(tree, (number + 1) * MIB, 0, f"docker/{container_id}")
    bench.watch(*ids)
    bench.tick()
    bench.tick()
    bench.watch(ids[2], ids[0], ids[1])
    assert [value / MIB for value in bench.tick().column("memory.usage")] == [3, 1, 2]


def test_oom_kills_are_read_where_the_kernel_has_killed_anything(bench: Bench, tree: FakeTree, tmp_path: Path) -> None:
    vmstat = tmp_path / "proc" / "vmstat"

    def kernel_killed(number: int) -> None:
        vmstat.write_text(f"nr_free_pages 12\noom_kill {number}\nswap_ra 0\n")

    kernel_killed(5)
    assert bench.tick()["memory.oom_kills"] == 0
    count_oom(tree, 1)
    assert bench.tick(10.0)["memory.oom_kills"] == 0, "the kernel says that it has killed none since"
    assert bench.tick(anew=frozenset({ID}))["memory.oom_kills"] == 1, "the engine says that it has"
    count_oom(tree, 3)
    kernel_killed(7)
    assert bench.tick(10.0)["memory.oom_kills"] == 3


def test_the_working_set_is_read_at_the_metrics_interval_and_carried_between(bench: Bench, tree: FakeTree) -> None:
    use_memory(tree, 100 * MIB, 60 * MIB)
    bench.tick()
    use_memory(tree, 90 * MIB, 0)
    for second in range(9):
        use_cpu(tree, 1000.0 + second)
        sample = bench.tick()
        assert sample["memory.usage"] == 90 * MIB
        assert sample["memory.working_set"] == 40 * MIB
    assert bench.tick()["memory.working_set"] == 90 * MIB


def test_a_carried_working_set_is_never_more_than_what_is_charged(bench: Bench, tree: FakeTree) -> None:
    limit_memory(tree, 200 * MIB)
    use_memory(tree, 100 * MIB, 10 * MIB)
    assert bench.tick()["memory.working_set"] == 90 * MIB
    use_memory(tree, 50 * MIB, 10 * MIB)
    use_cpu(tree, 1000.0)
    sample = bench.tick()
    assert sample["memory.working_set"] == 50 * MIB
    assert sample["memory.percent"] == pytest.approx(25)
    use_memory(tree, 95 * MIB, 10 * MIB)
    use_cpu(tree, 1001.0)
    assert bench.tick()["memory.working_set"] == 90 * MIB


@pytest.mark.parametrize("name", ["memory.working_set", "memory.percent"])
def test_a_policy_that_needs_it_has_it_read_at_each_tick(bench: Bench, tree: FakeTree, name: str) -> None:
    bench.tick()
    bench.demand = Demand(every_tick=frozenset({name}))
    for size in (10, 20, 30):
        use_memory(tree, size * MIB, 0)
        assert bench.tick()["memory.working_set"] == size * MIB


def test_a_container_that_comes_between_has_its_working_set_at_once(bench: Bench, tree: FakeTree) -> None:
    bench.tick()
    tree.add(f"docker/{full_id(2)}")
    bench.watch(ID, full_id(2))
    assert not any(math.isnan(value) for value in bench.tick().column("memory.working_set"))


def test_a_value_that_can_not_be_read_again_is_unknown_at_once(bench: Bench, tree: FakeTree) -> None:
    bench.demand = Demand(metrics_interval=2.0)
    bench.tick()
    tree.write(PATH, "memory.stat", "nothing\n")
    assert not math.isnan(bench.tick()["memory.working_set"]), "carried: its next reading is not due yet"
    assert math.isnan(bench.tick()["memory.working_set"])
    use_memory(tree, 10 * MIB, 0)
    assert bench.tick(2.0)["memory.working_set"] == 10 * MIB


def test_oom_kills_are_read_every_ten_seconds_and_when_the_engine_reports_one(bench: Bench, tree: FakeTree) -> None:
    assert bench.tick()["memory.oom_kills"] == 0
    count_oom(tree, 1)
    assert bench.tick()["memory.oom_kills"] == 0
    assert bench.tick(anew=frozenset({full_id(2)}))["memory.oom_kills"] == 0
    assert bench.tick(anew=frozenset({ID}))["memory.oom_kills"] == 1
    count_oom(tree, 2)
    for _ in range(6):  # of the ten seconds four have passed
        assert bench.tick()["memory.oom_kills"] == 1
    assert bench.tick()["memory.oom_kills"] == 2


def test_limits_are_read_every_minute_and_when_the_engine_reports_an_update(bench: Bench, tree: FakeTree) -> None:
    use_cpu(tree, 10.0)
    limit_cpu(tree, 0.5)
    limit_memory(tree, 200 * MIB)
    bench.tick()
    limit_cpu(tree, 2.0)
    limit_memory(tree, 400 * MIB)

    def then(used: float, anew: frozenset[str] = frozenset()) -> tuple[float, float]:
        use_cpu(tree, used)
        sample = bench.tick(anew=anew)
        assert sample.batch.anew == anew
        return round(sample["cpu.percent_of_limit"]), sample["memory.limit"]

    assert then(11.0) == (200, 200 * MIB)
    assert then(12.0, frozenset({full_id(2)})) == (200, 200 * MIB)
    assert then(13.0, frozenset({ID})) == (50, 400 * MIB)
    assert then(14.0) == (50, 400 * MIB)


def test_who_is_to_be_read_anew_stays_so_until_the_stats_api_has_answered_or_there_are_files(
    tree: FakeTree, tmp_path: Path
) -> None:
    tree.remove(PATH)
    clock, stopped = SteppedClock(), full_id(3)

    def ask(container_id: str) -> object:
        raise TemporaryError(f"{container_id} takes too long")

    reader = Reader(
        clock=clock,
        cgroup_root=str(tree.root),
        proc_root=str(fake_proc(tmp_path / "proc")),
        source=Source.AUTO,
        ask=ask,
        monotonic=clock.monotonic,
    )

    def tick(*anew: str) -> tuple[Source, frozenset[str]]:
        clock.time += 20.0
        batch = reader.sample(Request(targets=(SampleTarget(container_id=ID),), anew=frozenset(anew)))
        for thread in threading.enumerate():
            if thread.name.startswith("engine-stats"):
                thread.join(10)
        return reader.source, batch.anew

    tick()
    assert tick(ID, stopped) == (Source.STATS_API, frozenset({stopped}))
    assert tick() == (Source.STATS_API, frozenset())
    tree.add(PATH)
    clock.time += LONGEST_SEARCH_WAIT
    assert tick() == (Source.CGROUP, frozenset({ID}))
    assert tick() == (Source.CGROUP, frozenset())
    reader.close()


def test_one_that_goes_on_instead_keeps_files_open_as_far_as_the_limit_leaves_room(
    tree: FakeTree, tmp_path: Path
) -> None:
    clock, request = SteppedClock(), Request(targets=(SampleTarget(container_id=ID),))
    held_up = Reader(
        clock=clock,
        cgroup_root=str(tree.root),
        proc_root=str(fake_proc(tmp_path / "proc")),
        monotonic=clock.monotonic,
        may_keep=5,
    )
    held_up.sample(request)
    instead = held_up.successor()
    assert instead.sample(request).columns["memory.usage"][0] > 0
    assert (held_up.kept, instead.kept) == (5, 0)

    held_up.close()
    instead.may_keep_more(5)
    clock.time += 20.0
    assert instead.sample(request).columns["memory.usage"][0] > 0
    assert instead.kept == 5
    instead.close()


def test_a_limit_that_was_changed_and_can_not_be_read_is_unknown(bench: Bench, tree: FakeTree) -> None:
    bench.tick()
    tree.write(PATH, "memory.limit_in_bytes" if tree.hierarchies else "memory.max", "nonsense\n")
    assert not math.isnan(bench.tick(10)["memory.percent"]), "seldom read, and carried meanwhile"
    assert math.isnan(bench.tick(anew=frozenset({ID}))["memory.percent"])


def test_a_host_without_memory_controller_has_memory_unknown_and_says_which_option_turns_it_on(tmp_path: Path) -> None:
    v1 = FakeTree(tmp_path / "v1", v1=("cpu,cpuacct", "cpuset"))
    v2 = FakeTree(tmp_path / "v2", unified=".", controllers="cpuset cpu io pids")
    for tree in (v1, v2):
        tree.add(PATH)
        bench = Bench(tree, fake_proc(tmp_path / "proc"))
        bench.watch(ID)
        use_cpu(tree, 10.0)
        bench.tick()
        use_cpu(tree, 11.0)
        sample = bench.tick()
        assert "cgroup_enable=memory" in sample.failures["memory"]
        assert math.isnan(sample["memory.usage"])
        assert math.isnan(sample["memory.percent"])
        assert sample["cpu.cores"] == pytest.approx(1.0)
        assert list(sample.failures) == ["memory"]


def test_what_of_a_container_is_outside_of_the_agents_namespace_is_told_and_unknown(tmp_path: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    tree.add(PATH)
    for hierarchy in ("cpu", "memory"):
        shutil.rmtree(tree.root / hierarchy / "docker")
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    bench.tick()
    sample = bench.tick()
    assert sample["cpu.cores"] == 0
    for name in ("cpu.percent_of_limit", "memory.usage", "memory.limit", "memory.percent"):
        assert math.isnan(sample[name]), name
    assert set(sample.failures) == {"cgroup"}
    assert "cpu and memory are not to be seen" in sample.failures["cgroup"]
    bench.watch()
    assert not bench.tick().failures


def test_a_cgroup_without_the_memory_controller_is_told(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(PATH)
    for file in (tree.root / PATH).glob("memory.*"):
        file.unlink()
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    sample = bench.tick()
    assert "Delegate=memory" in sample.failures["memory"]
    assert math.isnan(sample["memory.usage"])


# --- lives ---


def test_a_restart_under_the_same_id_is_another_life(bench: Bench, tree: FakeTree) -> None:
    bench.watch(SampleTarget(container_id=ID, started_at=100.0))
    use_cpu(tree, 10.0)
    bench.tick()
    bench.watch(SampleTarget(container_id=ID, started_at=200.0))
    use_cpu(tree, 11.0)
    assert math.isnan(bench.tick()["cpu.cores"])
    use_cpu(tree, 11.5)
    assert bench.tick()["cpu.cores"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("before", "now"), [(None, 100.0), (100.0, None), (100.0, 100.0)], ids=["inspected", "forgotten", "same"]
)
def test_a_start_that_becomes_known_or_is_forgotten_keeps_the_rates(
    bench: Bench, tree: FakeTree, before: float | None, now: float | None
) -> None:
    bench.watch(SampleTarget(container_id=ID, started_at=before))
    use_cpu(tree, 10.0)
    bench.tick()
    bench.watch(SampleTarget(container_id=ID, started_at=now, pid=77))
    use_cpu(tree, 11.0)
    assert bench.tick()["cpu.cores"] == pytest.approx(1.0)


def test_another_start_is_noticed_though_it_was_unknown_between(bench: Bench, tree: FakeTree) -> None:
    for started_at, seconds in ((100.0, 10.0), (None, 11.0)):
        bench.watch(SampleTarget(container_id=ID, started_at=started_at))
        use_cpu(tree, seconds)
        bench.tick()
    bench.watch(SampleTarget(container_id=ID, started_at=200.0))
    use_cpu(tree, 12.0)
    assert math.isnan(bench.tick()["cpu.cores"])


def test_a_container_that_is_gone_is_unknown_and_no_failure(bench: Bench, tree: FakeTree) -> None:
    other = full_id(2)
    tree.add(f"docker/{other}")
    bench.watch(ID, other)
    tree.remove(PATH)
    sample = bench.tick()
    assert math.isnan(sample.column("memory.usage")[0])
    assert sample.column("memory.usage")[1] > 0
    assert not sample.failures


def test_columns_follow_the_targets_when_the_watch_is_swapped(bench: Bench, tree: FakeTree) -> None:
    ids = [full_id(n) for n in range(1, 4)]
    for number, container_id in enumerate(ids):
        tree.add(f"docker/{container_id}")
        use_memory(tree, number * MIB, 0, f"docker/{container_id}")
    bench.watch(*ids)
    assert [value / MIB for value in bench.tick().column("memory.usage")] == [0, 1, 2]
    bench.watch(ids[2], ids[0])
    sample = bench.tick()
    assert [target.container_id for target in sample.batch.targets] == [ids[2], ids[0]]
    assert [value / MIB for value in sample.column("memory.usage")] == [2, 0]
    bench.watch()
    assert list(bench.tick().column("cpu.cores")) == []


def test_every_descriptor_is_given_back(bench: Bench) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    bench.tick()
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    bench.watch()
    bench.tick()
    bench.reader.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_of_many_at_once_the_first_tick_tells_levels_and_the_second_everything(tree: FakeTree, tmp_path: Path) -> None:
    ids = [full_id(n) for n in range(1, MANY + 2)]
    for container_id in ids[1:]:
        tree.add(f"docker/{container_id}")
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(*ids)
    first = bench.tick()
    assert not any(math.isnan(number) for number in first.column("memory.usage"))
    assert "pids" not in first.batch.columns
    bench.reader.catch_up()
    for container_id in ids:
        tree.write(f"docker/{container_id}", "pids.current", "9\n")  # too late for what was read between the ticks
    second = bench.tick()
    assert list(second.column("pids")) == [2] * len(ids)
    assert list(second.column("cpu.cores")) == [0] * len(ids)
    assert second.batch.columns.keys() > first.batch.columns.keys()
    bench.reader.catch_up()
    tree.add(f"docker/{full_id(500)}")
    bench.watch(*ids, full_id(500))
    assert bench.tick().column("pids")[-1] == 2, "one more is read at once"
    bench.reader.close()


# --- faults ---


def test_a_missing_tree_is_told_and_the_host_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cgroup", fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    for _ in range(2):
        sample = bench.tick()
        assert "sampling.cgroup_root" in sample.failures["cgroup"]
        assert math.isnan(sample["cpu.cores"])
        assert math.isnan(sample["memory.usage"])
        assert sample.host["host.memory.available"] == 2 * GIB
    v2_tree(tmp_path / "cgroup").add(PATH)
    sample = bench.tick(10.0)
    assert not sample.failures
    assert sample["memory.usage"] > 0


def test_a_container_that_is_nowhere_is_told_after_a_while(bench: Bench, tree: FakeTree) -> None:
    tree.remove(PATH)
    assert not bench.tick().failures
    sample = bench.tick(10.0)
    assert "cgroup: host" in sample.failures["cgroup"]
    tree.add(PATH)
    assert not bench.tick(10.0).failures


def test_an_unknown_layout_is_found_at_the_first_tick(tree: FakeTree, tmp_path: Path) -> None:
    ids = [full_id(n) for n in range(10, 20)]
    for container_id in ids:
        tree.add(f"private/{container_id}")
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(*ids)
    assert not any(math.isnan(value) for value in bench.tick().column("memory.usage"))


def test_a_file_that_is_a_directory_is_a_failure_of_its_collector_alone(bench: Bench, tree: FakeTree) -> None:
    file = tree.file(PATH, "cpuacct.usage" if tree.hierarchies else "cpu.stat")
    file.unlink()
    file.mkdir()
    sample = bench.tick()
    # v2 has CPU time and throttling in one file
    assert sorted(sample.failures) == (["cpu"] if tree.hierarchies else ["cpu", "throttling"])
    assert str(file) in sample.failures["cpu"]
    assert math.isnan(sample["cpu.cores"])
    assert sample["memory.usage"] > 0


@pytest.mark.parametrize(
    ("v1", "v2", "column"),
    [
        ("blkio.throttle.io_service_bytes_recursive", "io.stat", "io.read"),
        ("memory.limit_in_bytes", "memory.max", "memory.limit"),
        ("memory.oom_control", "memory.events", "memory.oom_kills"),
        ("memory.stat", "memory.stat", "memory.working_set"),
        ("cpu.cfs_quota_us", "cpu.max", "cpu.percent_of_limit"),
        ("pids.current", "pids.current", "pids"),
    ],
)
def test_what_can_not_be_read_is_told_until_it_can_whoever_comes_meanwhile(
    bench: Bench, tree: FakeTree, v1: str, v2: str, column: str
) -> None:
    file = tree.file(PATH, v1 if tree.hierarchies else v2)
    content = file.read_bytes()
    file.unlink()
    file.mkdir()
    for tick in range(14):
        if tick == 4:
            tree.add(f"docker/{full_id(2)}")
            bench.watch(ID, full_id(2))
        sample = bench.tick()
        assert str(file) in " ".join(sample.failures.values()), tick
        assert math.isnan(sample.column(column)[0])
    file.rmdir()
    file.write_bytes(content)
    assert not bench.tick(61.0).failures


def test_a_restart_leaves_no_descriptor_of_the_former_life_behind(bench: Bench) -> None:
    bench.watch(SampleTarget(container_id=ID, started_at=100.0))
    bench.tick()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for started_at in (200.0, 300.0):
        bench.watch(SampleTarget(container_id=ID, started_at=started_at))
        bench.tick()
    for _ in range(3):
        bench.tick(anew=frozenset({ID}))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Failing:
    name = "failing"

    def collect(self, tick: Tick) -> None:
        tick.host["host.half"] = 1.0
        raise ZeroDivisionError("as it happens")

    def close(self) -> None:
        pass


class Working:
    name = "working"

    def collect(self, tick: Tick) -> None:
        tick.host["host.works"] = 1.0

    def close(self) -> None:
        pass


def test_a_failing_collector_stops_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, fake_proc(tmp_path / "proc"), (Failing(), Working()))
    sample = bench.tick()
    assert "as it happens" in sample.failures["failing"]
    assert sample.host["host.works"] == 1.0
    assert set(bench.reader.seconds) == {"failing", "working"}


@pytest.mark.parametrize("parent", ["/\ud800", "/a\0b", "/" + "x" * 5000, "/../../etc"])
def test_a_parent_that_no_directory_can_have_hides_that_container_alone(
    bench: Bench, tree: FakeTree, parent: str
) -> None:
    bench.watch(SampleTarget(container_id=full_id(2), cgroup_parent=parent), ID)
    for _ in range(2):
        sample = bench.tick()
        assert [math.isnan(number) for number in sample.column("memory.usage")] == [True, False]
        assert not sample.failures
    tree.add(f"docker/{full_id(2)}")
    assert not any(math.isnan(number) for number in bench.tick(10.0).column("memory.usage"))


def test_a_search_for_cgroups_that_fails_as_nobody_foresaw_leaves_the_host_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unforeseen(_: Locator, __: SampleTarget) -> None:
        raise ZeroDivisionError("as it happens")

    monkeypatch.setattr(Locator, "find", unforeseen)
    bench = Bench(v2_tree(tmp_path / "cgroup"), fake_proc(tmp_path / "proc"))
    bench.watch(full_id(1))
    for _ in range(2):
        sample = bench.tick()
        assert "ZeroDivisionError" in sample.failures["cgroup"]
        assert sample.host["host.memory.available"] > 0


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """How many files this process may have open, and how many if it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = 1 << 16 if hard == resource.RLIM_INFINITY else hard - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (lower, hard))
    yield lower, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_on_open_files_is_raised_as_far_as_it_may_be(limits: tuple[int, int], tmp_path: Path) -> None:
    lower, hard = limits
    Bench(v2_tree(tmp_path / "cgroup"), fake_proc(tmp_path / "proc"))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard) != (lower, hard)


def test_where_the_limit_on_open_files_may_not_be_raised_it_is_kept(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise PermissionError("a sandbox")

    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", refuse)
        assert raise_descriptor_limit() == limits[0]


@pytest.mark.parametrize("limit", [300, 65_536, 100])
def test_of_the_limit_on_open_files_a_part_is_left_for_all_that_is_not_sampling(limit: int) -> None:
    needed = 64 + 100  # calls of actions and inspections at once; streams, broker, store, subscribers of the socket
    assert Descriptors.under(limit).limit <= max(0, limit - needed)


def test_too_few_descriptors_cost_time_and_no_values(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n")
    (tmp_path / "b").write_text("2\n")
    descriptors = Descriptors(1)
    first, second = (KeptFile(f"{tmp_path}/{name}", 64, descriptors) for name in "ab")
    for _ in range(2):
        assert (first.read(), second.read()) == (b"1\n", b"2\n")
    assert (descriptors.kept, descriptors.refused) == (1, 2)
    first.close()
    assert second.read() == b"2\n"
    assert (descriptors.kept, descriptors.refused) == (1, 2)
    second.close()
    assert read_once(f"{tmp_path}/a", 64) == b"1\n"


# --- host ---


def test_the_hosts_numbers(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", cpus=4, memory=8 * GIB)
    bench = Bench(v2_tree(tmp_path / "cgroup"), proc)
    bench.data_root = str(tmp_path)
    first = bench.tick()
    assert "host.cpu.percent" not in first.host
    (proc / "stat").write_text("cpu  430 0 400 3060 210 0 0 0 0 0\ncpu0 0\n")
    second = bench.tick()
    assert second.host["host.cpu.percent"] == pytest.approx(30)
    assert second.host["host.memory.percent"] == pytest.approx(75)
    assert second.host["host.memory.available"] == 2 * GIB
    assert second.host["host.swap.percent"] == pytest.approx(25)
    assert second.host["host.load1"] == pytest.approx(0.5)
    assert second.host["host.load5"] == pytest.approx(0.25)
    assert 0 <= second.host["host.disk.percent"] <= 100
    assert 0 <= second.host["host.disk.inodes_percent"] <= 100
    assert second.host["host.disk.free"] > 0


@pytest.mark.parametrize("times", ["1 0 1 1 1", "1 0 1 900000 1"], ids=["all of them", "the busy ones alone"])
def test_times_that_went_back_leave_the_hosts_cpu_unknown(tmp_path: Path, times: str) -> None:
    proc = fake_proc(tmp_path / "proc")
    bench = Bench(v2_tree(tmp_path / "cgroup"), proc)
    bench.tick()
    (proc / "stat").write_text(f"cpu  {times} 0 0 0 0 0\ncpu0 0\n")
    assert "host.cpu.percent" not in bench.tick().host


def test_the_data_of_an_engine_elsewhere_is_unknown_and_no_failure(tmp_path: Path) -> None:
    bench = Bench(v2_tree(tmp_path / "cgroup"), fake_proc(tmp_path / "proc"))
    sample = bench.tick()
    assert not [name for name in sample.host if name.startswith("host.disk")]
    assert not sample.failures


def test_a_data_root_that_is_not_mounted_in_the_agents_container_is_told(tmp_path: Path) -> None:
    bench = Bench(v2_tree(tmp_path / "cgroup"), fake_proc(tmp_path / "proc"))
    bench.data_root = str(tmp_path / "data")
    sample = bench.tick()
    assert not [name for name in sample.host if name.startswith("host.disk")]
    assert list(sample.failures) == ["disk"]
    assert f"-v watchtower-disk:{tmp_path}/data:ro" in sample.failures["disk"]
    (tmp_path / "data").mkdir()
    assert not bench.tick(10.0).failures


def test_a_missing_proc_is_told_and_containers_go_on(tree: FakeTree, tmp_path: Path) -> None:
    bench = Bench(tree, tmp_path / "nothing")
    bench.watch(ID)
    use_cpu(tree, 1.0)
    bench.tick()
    use_cpu(tree, 1.25)
    sample = bench.tick()
    assert list(sample.failures) == ["host"]
    assert not sample.host
    assert sample["memory.percent"] > 0
    assert sample["cpu.percent_of_limit"] == pytest.approx(50)


def test_without_any_limit_known_a_share_of_it_is_unknown(tree: FakeTree, tmp_path: Path) -> None:
    bench = Bench(tree, tmp_path / "nothing")
    bench.watch(ID)
    limit_memory(tree, None)
    limit_cpu(tree, None, "")
    bench.tick()
    sample = bench.tick()
    assert math.isnan(sample["memory.limit"])
    assert math.isnan(sample["memory.percent"])
    assert math.isnan(sample["cpu.percent_of_limit"])

"""What stands still above is not read below; and nothing that moves is missed for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.cgroups import Bench, FakeTree, fake_proc, full_id, v1_tree, v2_tree
from watchtower_agent.collectors.common_ground import FORGOTTEN_AFTER, CommonGround
from watchtower_agent.collectors.files import Descriptors, KeptFile
from watchtower_agent.collectors.gauges import RateGauge
from watchtower_agent.collectors.parsing import total_some
from watchtower_agent.collectors.pressure import LAG
from watchtower_agent.collectors.request import Demand

IDS = tuple(full_id(number) for number in range(1, 4))
PATHS = tuple(f"docker/{container_id}" for container_id in IDS)


class Pressed:
    """Containers below one directory, and the time each has waited for memory, in microseconds."""

    def __init__(self, folder: Path) -> None:
        self.tree = v2_tree(folder / "cgroup")
        self.waited = [1_000_000.0] * len(IDS)
        for path in PATHS:
            self.tree.add(path)
        self.bench = Bench(self.tree, fake_proc(folder / "proc"))
        self.bench.demand = Demand(every_tick=frozenset({"pressure.memory"}))
        self.bench.watch(*IDS)
        self.tell()

    def tell(self, *, avg: float = 0.0) -> None:
        """Write what the kernel would: above, whoever waited below."""
        for path, waited in zip((*PATHS, "docker"), (*self.waited, sum(self.waited)), strict=True):
            self.below(path, waited, avg)

    def below(self, path: str, waited: float, avg: float = 0.0) -> None:
        self.tree.write(
            path,
            "memory.pressure",
            f"some avg10={avg:.2f} avg60=0.00 avg300=0.00 total={waited:.0f}\n"
            f"full avg10={avg:.2f} avg60=0.00 avg300=0.00 total=0\n",
        )

    def tick(self, seconds: float = 1.0) -> list[float]:
        return list(self.bench.tick(seconds).column("pressure.memory"))


@pytest.fixture
def pressed(tmp_path: Path) -> Pressed:
    return Pressed(tmp_path)


def test_while_what_is_above_stands_still_nothing_below_is_read(pressed: Pressed) -> None:
    for _ in range(int(LAG) + 3):
        pressed.tick()
    pressed.below(PATHS[0], 9_000_000)  # what the kernel never does: it shows who is read
    assert pressed.tick() == [0, 0, 0]


def test_averages_that_fade_above_are_no_movement(pressed: Pressed) -> None:
    for second in range(int(LAG) + 3):
        pressed.below("docker", sum(pressed.waited), 9.0 - second)
        pressed.tick()
    pressed.below(PATHS[0], 9_000_000)
    assert pressed.tick() == [0, 0, 0]


def test_who_waits_shows_at_once_and_over_the_time_since_the_last_tick(pressed: Pressed) -> None:
    for _ in range(int(LAG) + 3):
        pressed.tick()
    pressed.waited[1] += 500_000
    pressed.tell()
    assert pressed.tick(2.0) == pytest.approx([0, 25, 0])


def test_what_the_kernel_brings_up_to_date_later_below_than_above_is_seen(pressed: Pressed) -> None:
    for _ in range(int(LAG) + 3):
        pressed.tick()
    pressed.below("docker", sum(pressed.waited) + 400_000)
    assert pressed.tick() == [0, 0, 0]
    assert pressed.tick() == [0, 0, 0]
    pressed.below(PATHS[2], pressed.waited[2] + 400_000)
    assert pressed.tick() == pytest.approx([0, 0, 40])


@pytest.mark.parametrize("above", [None, "nonsense\n", "", "x" * 5000])
def test_without_an_account_above_everything_below_is_read(pressed: Pressed, above: str | None) -> None:
    file = pressed.tree.file("docker", "memory.pressure")
    if above is None:
        file.unlink()
    else:
        file.write_text(above)
    for _ in range(int(LAG) + 3):
        pressed.tick()
        if above is not None:
            file.write_text(above)
    pressed.below(PATHS[0], pressed.waited[0] + 300_000)
    assert pressed.tick() == pytest.approx([30, 0, 0])


def test_a_container_that_is_new_is_read_though_all_is_still(pressed: Pressed) -> None:
    pressed.bench.watch(*IDS[:2])
    for _ in range(int(LAG) + 3):
        pressed.tick()
    pressed.bench.watch(*IDS)
    assert [math.isnan(number) for number in pressed.tick()] == [False, False, True]
    assert pressed.tick() == [0, 0, 0]


@pytest.mark.parametrize("make", [v1_tree, v2_tree])
def test_block_io_stands_on_common_ground_too(make: Callable[[Path], FakeTree], tmp_path: Path) -> None:
    tree = make(tmp_path / "cgroup")
    name = "blkio.throttle.io_service_bytes_recursive" if tree.hierarchies else "io.stat"

    def moved(path: str, number: int) -> None:
        line = f"8:0 Read {number}\n8:0 Write 0\nTotal {number}\n" if tree.hierarchies else f"8:0 rbytes={number}\n"
        tree.write(path, name, line)

    tree.add(PATHS[0])
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.demand = Demand(every_tick=frozenset({"io.read"}))
    bench.watch(IDS[0])
    for path in ("docker", PATHS[0]):
        moved(path, 5000)
    bench.tick()
    assert bench.tick()["io.read"] == 0
    moved(PATHS[0], 8000)
    assert bench.tick()["io.read"] == 0, "above it stands still"
    moved("docker", 8000)
    assert bench.tick()["io.read"] == 3000


def test_what_is_longer_above_than_is_read_of_it_tells_nothing(tmp_path: Path) -> None:
    """Of hundreds of devices one of the last may have moved."""
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(PATHS[0])
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.demand = Demand(every_tick=frozenset({"io.read"}))
    bench.watch(IDS[0])
    tree.write("docker", "io.stat", "".join(f"8:{minor} rbytes=1000\n" for minor in range(5000)))
    tree.write(PATHS[0], "io.stat", "8:4999 rbytes=1000\n")
    bench.tick()
    assert bench.tick()["io.read"] == 0
    tree.write(PATHS[0], "io.stat", "8:4999 rbytes=3000\n")
    assert bench.tick()["io.read"] == 2000


def test_a_ground_nobody_asks_about_any_more_is_let_go(tmp_path: Path) -> None:
    descriptors = Descriptors(10)
    (tmp_path / "f").write_text("some total=1\n")
    ground = CommonGround(64, bytes, descriptors)
    ground.begin(0.0)
    assert ground.still_since(f"{tmp_path}/f") == 0.0
    ground.begin(FORGOTTEN_AFTER)
    assert descriptors.kept == 1
    ground.begin(FORGOTTEN_AFTER + 1)
    assert descriptors.kept == 0
    assert ground.still_since(f"{tmp_path}/f") == FORGOTTEN_AFTER + 1
    ground.close()
    assert descriptors.kept == 0


@settings(deadline=None)  # a slow machine is no failure
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 0, 0, 1, 7])), max_size=30),
    st.floats(min_value=0.5, max_value=12.0),
)
def test_it_tells_the_same_as_one_that_reads_everything(
    tmp_path_factory: pytest.TempPathFactory, waits: list[tuple[int, int]], interval: float
) -> None:
    """Whoever waits, whenever, and whatever is asked how often: a gauge with and one without a ground agree."""
    folder = tmp_path_factory.mktemp("ground")
    totals = [1_000_000, 1_000_000]

    def write() -> None:
        for name, total in (("a", totals[0]), ("b", totals[1]), ("", sum(totals))):
            directory = folder / name
            directory.mkdir(exist_ok=True)
            (directory / "cpu.pressure").write_text(f"some avg10=0.00 total={total}\nfull avg10=0.00 total=0\n")

    def parse(data: bytes) -> list[float]:
        total = total_some(data)
        return [math.nan if total is None else float(total)]

    def gauge(name: str, ground: CommonGround | None) -> RateGauge:
        file = KeptFile(f"{folder}/{name}/cpu.pressure", 256, descriptors)
        return RateGauge(file, parse, names=1, unknown=lambda _: False, ground=ground)

    descriptors = Descriptors(100)
    ground = CommonGround(256, total_some, descriptors)
    with_ground, without = [gauge(name, ground) for name in "ab"], [gauge(name, None) for name in "ab"]
    write()
    now = 100.0
    for who, how_much in [(0, 0), *waits]:
        totals[who] += how_much * 1000
        write()
        now += interval
        ground.begin(now)
        for one, other in zip(with_ground, without, strict=True):
            assert one.read(now) == pytest.approx(other.read(now), nan_ok=True)
    ground.close()
    for one in (*with_ground, *without):
        one.close()
    assert descriptors.kept == 0

"""The loop over descriptors: whose number is whose, whatever ends or begins meanwhile."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.collectors.file_column import FileColumn
from watchtower_agent.collectors.files import Descriptors, KeptFile, NumberFile
from watchtower_agent.collectors.roster import Life
from watchtower_agent.model.sample import SampleTarget


class Host:
    """Lives with one file each."""

    def __init__(self, folder: Path, *, keep: int = 100) -> None:
        self.folder = folder
        self.descriptors = Descriptors(keep)
        self.files: dict[str, NumberFile] = {}
        self.time = 0.0
        self.ended: list[str] = []
        self.column = FileColumn(lambda life: self.files.get(life.target.container_id), self.descriptors)

    def life(self, name: str, content: str) -> Life:
        self.write(name, content)
        self.files[name] = NumberFile(f"{self.folder}/{name}", 64, self.descriptors)
        return Life(SampleTarget(container_id=name), 0.0, lambda: self.ended.append(name))

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def clock(self) -> float:
        self.time += 1.0
        return self.time


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_descriptor_that_was_given_out_again_is_not_read_as_its_former_owners(host: Host) -> None:
    lives = [host.life("a", "1\n"), host.life("b", "2\n")]
    host.column.follow(lives)
    host.column.read(host.clock)
    freed = host.files["b"].descriptor
    host.files["b"].close()  # as when another column notices that its container has ended
    stranger = KeptFile(str(host.folder / "a"), 64, host.descriptors)
    stranger.read()
    assert stranger.descriptor == freed
    host.column.read(host.clock)
    assert list(host.column.numbers()) == [1, 2]


def test_a_descriptor_that_went_to_a_file_which_is_not_kept_is_not_read_either(host: Host) -> None:
    host.column.follow([host.life("a", "1\n"), host.life("b", "2\n")])
    host.column.read(host.clock)
    host.column.read(host.clock)
    freed = host.files["b"].descriptor
    host.files["b"].close()
    stranger = os.open(host.folder / "a", os.O_RDONLY)  # no reading of ours tells that the number has another owner
    try:
        assert stranger == freed
        host.column.read(host.clock)
        assert list(host.column.numbers()) == [1, 2]
    finally:
        os.close(stranger)


def test_a_container_that_has_ended_is_unknown_and_its_life_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = [host.life("a", "1\n"), host.life("b", "2\n")]
    host.column.follow(lives)
    host.column.read(host.clock)
    gone = host.files["a"].descriptor
    pread = os.pread

    def as_the_kernel(descriptor: int, size: int, offset: int) -> bytes:
        if descriptor == gone:
            raise OSError(19, "No such device")  # what a kept file of a removed cgroup answers
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", as_the_kernel)
    host.column.read(host.clock)
    assert math.isnan(host.column.numbers()[0])
    assert host.column.numbers()[1] == 2
    assert host.ended == ["a"]
    assert host.column.faults.sentence("it is") == "", "the expected end of every container"
    assert host.files["a"].descriptor == -1


def test_what_is_not_kept_open_is_read_all_the_same_and_counted(tmp_path: Path) -> None:
    host = Host(tmp_path, keep=1)
    host.column.follow([host.life("a", "1\n"), host.life("b", "2\n"), host.life("c", "3\n")])
    for expected in (2, 4):
        host.column.read(host.clock)
        assert list(host.column.numbers()) == [1, 2, 3]
        assert host.descriptors.refused == expected
    assert host.descriptors.kept == 1


@pytest.mark.parametrize("content", ["", "many\n", "-1\n"])
def test_what_is_no_number_is_unknown_and_so_are_the_rates_around_it(host: Host, content: str) -> None:
    host.column.follow([host.life("a", "10\n")])
    seen = []
    for said in ("10\n", "12\n", content, "20\n", "23\n"):
        host.write("a", said)
        host.column.read(host.clock)
        seen.append((host.column.numbers()[0], host.column.rates(1.0)[0]))
    assert [number if number == number else None for number, _ in seen] == [10, 12, None, 20, 23]  # noqa: PLR0124 - NaN
    assert [rate if rate == rate else None for _, rate in seen] == [None, 2, None, None, 3]  # noqa: PLR0124 - NaN
    assert host.column.faults.sentence("it is") == ""


def test_a_file_that_can_not_be_read_is_told(host: Host) -> None:
    life = host.life("a", "1\n")
    (host.folder / "a").unlink()
    (host.folder / "a").mkdir()
    host.column.follow([life])
    host.column.read(host.clock)
    assert str(host.folder / "a") in host.column.faults.sentence("it is")
    assert math.isnan(host.column.numbers()[0])


def test_levels_are_read_of_those_asked_for_alone(host: Host) -> None:
    names = [f"c{number}" for number in range(50)]
    lives = [host.life(name, f"{number}\n") for number, name in enumerate(names)]
    no_file = lives.pop(3)
    del host.files["c3"]
    host.column.follow([*lives[:3], no_file, *lives[3:]])
    host.column.read(host.clock)
    for name in names:
        host.write(name, "99\n")
    host.column.read_levels([1, 3, 47])
    expected = [*map(float, range(50))]
    expected[1] = expected[47] = 99.0
    expected[3] = -1.0
    assert [number if number >= 0 else -1.0 for number in host.column.numbers()] == expected


def test_one_that_can_not_be_read_hides_none_of_its_neighbours(host: Host) -> None:
    lives = [host.life(f"c{number}", f"{number}\n") for number in range(50)]
    host.column.follow(lives)
    host.column.read(host.clock)
    host.write("c30", "nonsense\n")
    host.column.read(host.clock)
    assert [n for n, number in enumerate(host.column.numbers()) if number != n] == [30]


def test_new_ones_and_those_asked_for_are_read_between(host: Host) -> None:
    a, b = host.life("a", "1\n"), host.life("b", "2\n")
    host.column.follow([a])
    host.column.read(host.clock)
    for name in "ab":
        host.write(name, "7\n")
    host.column.follow([b, a])
    assert host.column.read_new(host.clock) == [0]
    assert list(host.column.numbers()) == [7, 1]
    assert host.column.read_new(host.clock, {"a"}) == [1]
    assert list(host.column.numbers()) == [7, 7]


@given(
    st.lists(
        st.tuples(st.permutations("abcd"), st.integers(0, 4), st.lists(st.integers(0, 9), min_size=4, max_size=4)),
        max_size=8,
    )
)
def test_each_number_and_rate_is_its_own_whoever_comes_and_goes(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[tuple[list[str], int, list[int]]]
) -> None:
    """Against a slow look at each file by itself."""
    host = Host(tmp_path_factory.mktemp("host"))
    lives: dict[str, Life] = {}
    before: dict[str, tuple[float, float]] = {}
    for order, count, growth in ticks:
        present = order[:count]
        lives = {name: lives.get(name) or host.life(name, "0\n") for name in present}
        for name in set(host.files) - set(present):
            host.files.pop(name).close()
            before.pop(name, None)
        for name, more in zip("abcd", growth, strict=True):
            if name in lives:
                host.write(name, f"{int((host.folder / name).read_text()) + more}\n")
        host.column.follow([lives[name] for name in present])
        host.column.read(host.clock)
        rates, numbers = host.column.rates(1.0), host.column.numbers()
        for slot, name in enumerate(present):
            number, at = float((host.folder / name).read_text()), host.time
            assert numbers[slot] == number
            if name in before:
                earlier, then = before[name]
                assert rates[slot] == pytest.approx((number - earlier) / (at - then))
            else:
                assert math.isnan(rates[slot])
            before[name] = number, at
    for file in host.files.values():
        file.close()

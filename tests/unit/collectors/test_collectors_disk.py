"""The file system of the engine's data: one that hangs holds nothing up."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.support.cgroups import SteppedClock
from watchtower_agent.collectors.disk import DiskCollector
from watchtower_agent.collectors.request import Request
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.model.sample import LocalEngine


class HangingDisk:
    """In the place of statvfs: a file system that answers when the test lets it."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: list[str] = []

    def __call__(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        assert self.answers.wait(30)
        return os.statvfs("/")


class Bench:
    def __init__(self, collector: DiskCollector) -> None:
        self.clock = SteppedClock()
        self.collector = collector

    def tick(self, data_root: str = "/data", seconds: float = 1.0) -> Tick:
        self.clock.time += seconds
        request = Request(engine=LocalEngine(data_root=data_root))
        tick = Tick(at=self.clock.now(), interval=1.0, request=request, lives=(), monotonic=self.clock.monotonic)
        self.collector.collect(tick)
        return tick


def test_it_is_what_the_system_says(tmp_path: Path) -> None:
    tick = Bench(DiskCollector()).tick(str(tmp_path))
    facts = os.statvfs(tmp_path)
    assert tick.host["host.disk.free"] == pytest.approx(facts.f_bavail * facts.f_frsize, rel=0.05)
    assert not tick.failures


def test_one_that_hangs_is_unknown_asked_once_and_told_after_a_while() -> None:
    disk = HangingDisk()
    bench = Bench(DiskCollector(disk))
    try:
        ticks = [bench.tick() for _ in range(20)]
    finally:
        disk.answers.set()
    assert all(not tick.host for tick in ticks)
    assert [bool(tick.failures) for tick in ticks] == [False] * 10 + [True] * 10
    assert "/data does not answer" in ticks[-1].failures["disk"]
    assert disk.asked == ["/data"], "one thread hangs, not one a tick"


def test_an_answer_that_is_late_counts_at_the_next_tick_and_is_carried_until_it_is_asked_for_anew() -> None:
    disk = HangingDisk()
    bench = Bench(DiskCollector(disk))
    bench.tick()
    disk.answers.set()
    bench.collector._question._thread.join(10)  # type: ignore[union-attr] # the question that is open
    first = bench.tick().host
    assert first
    for _ in range(9):
        assert bench.tick().host == first
    assert len(disk.asked) == 1
    assert bench.tick().host
    assert len(disk.asked) == 2


def test_a_late_answer_about_another_engines_data_is_not_believed() -> None:
    disk = HangingDisk()
    bench = Bench(DiskCollector(disk))
    bench.tick("/old")
    disk.answers.set()
    bench.collector._question._thread.join(10)  # type: ignore[union-attr] # the question that is open
    assert not bench.tick("/new").host
    assert bench.tick("/new").host
    assert disk.asked == ["/old", "/new"]


def test_an_error_is_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    bench = Bench(DiskCollector())
    assert "Not a directory" in bench.tick(str(file / "data")).failures["disk"]
    assert "does not exist here" in bench.tick(str(tmp_path / "data")).failures["disk"]
    assert bench.tick(str(tmp_path)).host


def answer(*, blocks: int = 1000, free: int = 300, available: int = 200, files: int = 50) -> os.statvfs_result:
    """Of a file system whose blocks are of 1 KiB, and which likes to be read in pieces of 64 KiB."""
    return os.statvfs_result((65536, 1024, blocks, free, available, files, 20, 20, 0, 255))


def test_what_the_numbers_mean() -> None:
    host = Bench(DiskCollector(lambda _: answer())).tick().host
    assert host == {
        "host.disk.percent": pytest.approx(100 * 700 / 900),
        "host.disk.free": 200 * 1024,
        "host.disk.inodes_percent": 60.0,
    }


def test_without_a_fixed_number_of_inodes_or_any_blocks_the_share_is_unknown() -> None:
    assert "host.disk.inodes_percent" not in Bench(DiskCollector(lambda _: answer(files=0))).tick().host
    assert Bench(DiskCollector(lambda _: answer(blocks=0, free=0, available=0))).tick().host == {
        "host.disk.inodes_percent": 60.0
    }


def test_while_a_question_hangs_the_last_answer_is_not_carried() -> None:
    disk = HangingDisk()
    disk.answers.set()
    bench = Bench(DiskCollector(disk))
    assert bench.tick().host
    disk.answers.clear()
    try:
        assert bench.tick(seconds=9).host
        assert not bench.tick().host
    finally:
        disk.answers.set()

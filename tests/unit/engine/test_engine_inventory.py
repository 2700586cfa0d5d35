"""Inspections in the background: every one asked for ends in an answer, whichever others hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from watchtower_agent.clock import SystemClock
from watchtower_agent.engine import inventory, parking
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.inventory import Inventory
from watchtower_agent.engine.parking import CAP, FIRST, Parking
from watchtower_agent.engine.translation import EngineRefusedError, EngineTimeoutError
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.container import Container
from watchtower_agent.model.observation import ContainerObserved, InspectionHung


class Calls(EngineCalls):
    """In the place of the calls to a real engine.

    Attributes:
        hanging: Containers about which it is silent, until `gives_up`.
        refusing: What it raises of any.
        together: Two containers of which neither is answered before both were asked about.
        asked: In order.
    """

    def __init__(self) -> None:
        super().__init__(EngineAddress(url="unix:///nowhere", source="settings"), clock=SystemClock())
        self.hanging: set[str] = set()
        self.refusing: list[WatchtowerError] = []
        self.together: set[str] = set()
        self._both = threading.Barrier(2)
        self.asked: list[str] = []
        self.gives_up = threading.Event()

    def inspect(self, container_id: str) -> Container:
        self.asked.append(container_id)
        if self.refusing:
            raise self.refusing.pop(0)
        if container_id in self.together:
            self._both.wait(10)
        if container_id in self.hanging:
            self.gives_up.wait(10)
            raise EngineTimeoutError(f"inspecting {container_id}: the engine did not answer in time")
        return Container(id=container_id, name=container_id, image="i", status=None, created_at=0.0)


class Bench:
    """Inspections, and what they told.

    Attributes:
        calls: What is asked.
        inventory: Who asks.
        told: In order.
    """

    def __init__(self, *, patience: float = 0.02) -> None:
        self.calls = Calls()
        self.told: list[object] = []
        self._news = asyncio.Event()
        self.inventory = Inventory(
            calls=self.calls, clock=SystemClock(), sink=self._sink, position=lambda: 0, patience=patience
        )

    def _sink(self, observation: object) -> None:
        self.told.append(observation)
        self._news.set()

    @property
    def answered(self) -> list[str]:
        return [told.container_id for told in self.told if isinstance(told, ContainerObserved)]

    @property
    def hung(self) -> list[tuple[str, int]]:
        return [(told.container_id, told.tries) for told in self.told if isinstance(told, InspectionHung)]

    async def until(self, count: int) -> None:
        """So many observations were told."""
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()


@contextmanager
def giving_up(bench: Bench) -> Iterator[None]:
    """The engine's answers come at the end, or threads would wait for them."""
    try:
        yield
    finally:
        bench.calls.gives_up.set()


@asynccontextmanager
async def running(*, patience: float = 0.02) -> AsyncIterator[Bench]:
    bench = Bench(patience=patience)
    task = asyncio.create_task(bench.inventory.run())
    with giving_up(bench):
        yield bench
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task


async def test_none_waits_behind_those_that_hang() -> None:
    async with running() as bench:
        names = [f"stuck{number}" for number in range(20)]
        bench.calls.hanging = set(names)
        bench.inventory.request([*names, "fresh"])
        await bench.until(1)
        assert bench.answered == ["fresh"]
        assert bench.hung == []
        assert bench.inventory.waiting == 0


async def test_the_urgent_are_first() -> None:
    async with running(patience=60.0) as bench:
        bench.calls.together = {"e", "c"}
        bench.inventory.request(["a", "b", "c", "d"])
        bench.inventory.request(["e", "c"], urgent={"e", "c"})
        bench.inventory.request(["c"])
        await bench.until(5)
        assert set(bench.calls.asked[:2]) == {"e", "c"}
        assert sorted(bench.calls.asked) == ["a", "b", "c", "d", "e"]


async def test_an_inspection_that_fails_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "RETRY_FIRST", 0.001)
    async with running() as bench:
        bench.calls.refusing = [EngineRefusedError("nobody listens"), EngineRefusedError("nobody listens")]
        bench.inventory.request(["a"])
        await bench.until(1)
        assert bench.answered == ["a"]
        assert bench.calls.asked == ["a", "a", "a"]


async def test_one_that_hung_is_told_asked_about_again_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "FIRST", 0.001)
    async with running() as bench:
        bench.calls.hanging = {"stuck"}
        bench.calls.gives_up.set()
        bench.inventory.request(["stuck"])
        await bench.until(3)
        assert bench.hung[:3] == [("stuck", 1), ("stuck", 2), ("stuck", 3)]
        bench.calls.hanging = set()
        tries = len(bench.told)
        await bench.until(tries + 1)
        async with asyncio.timeout(5):
            while "stuck" not in bench.answered:
                await bench.until(len(bench.told) + 1)
        bench.calls.asked.clear()
        bench.inventory.request(["stuck"])
        async with asyncio.timeout(5):
            while bench.answered.count("stuck") < 2:
                await bench.until(len(bench.told) + 1)
        assert bench.calls.asked == ["stuck"], "it is one like any other again"


async def test_one_that_is_parked_is_not_asked_about_in_the_others_room() -> None:
    async with running() as bench:
        bench.calls.hanging = {"stuck"}
        bench.calls.gives_up.set()
        bench.inventory.request(["stuck"])
        await bench.until(1)
        bench.inventory.request(["stuck", "web"])
        await bench.until(2)
        assert bench.calls.asked == ["stuck", "web"]
        assert bench.inventory.waiting == 0


def test_the_wait_grows_to_a_cap() -> None:
    parked, now, waits = Parking(), 100.0, []
    for tries in range(1, 7):
        assert parked.park("c", now, hangs=True) == tries
        due = parked.next_due()
        assert due is not None
        assert parked.take(due - 0.1) is None
        assert parked.take(due) == "c"
        assert parked.take(due) is None, "it is being asked about"
        waits.append(due - now)
        now = due
    assert waits == [FIRST, 2 * FIRST, 4 * FIRST, CAP, CAP, CAP]


def test_what_is_wanted_comes_sooner_but_never_at_once() -> None:
    parked = Parking()
    for _ in range(6):
        parked.park("c", 100.0, hangs=True)
    parked.wanted("c", 101.0)
    assert parked.next_due() == 100.0 + FIRST
    assert parked.take(100.0 + FIRST) == "c"
    parked.wanted("c", 107.0)
    parked.park("c", 115.0, hangs=True)
    assert parked.next_due() == 115.0 + FIRST
    parked.free("c")
    assert "c" not in parked
    assert parked.next_due() is None

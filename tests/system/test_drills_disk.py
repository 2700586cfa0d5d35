"""The agent's disk is full, its outbox overflows, its store is damaged: nothing is lost, or it is told how much."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.arrivals import all_arrived, all_told, in_order
from tests.support.broker import PrivateBroker
from tests.support.busy import tag_often, untag
from tests.support.engine import PrivateEngine
from tests.support.tape import EngineTape

POLICIES = "version: 1\npolicies: []\n"
EVENTS = 400
LEAF = 0x0D
"""The first byte of a page of rows, in SQLite's format."""


@pytest.fixture
def tagging_engine(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The run's engine, without the tags that the test makes."""
    yield engine
    untag(engine)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write to it until there is no room."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(bytes(4096))


def last_sequence(state: Path, copy: Path) -> int:
    """The newest event that is on the disk. Asked of a copy: on a full disk nobody else can open the store."""
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*-shm"))
    with closing(sqlite3.connect(copy / "store.db")) as opened:
        return int(opened.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()[0])


async def test_what_happens_while_the_disk_is_full_arrives_when_there_is_room(
    tagging_engine: PrivateEngine,
    module_broker: PrivateBroker,
    make_host: Callable[..., Host],
    small_disk: Path,
    tmp_path: Path,
) -> None:
    with EngineTape(tagging_engine) as tape:
        settings = {"state_dir": str(small_disk / "state")}
        host = make_host(tagging_engine, module_broker, POLICIES, proxied=False, settings=settings)
        fill(small_disk / "ballast")
        await asyncio.to_thread(tag_often, tagging_engine, EVENTS)
        (failing,) = await asyncio.to_thread(host.agent.wait_log, "store_failing")
        assert "full" in failing["error"]
        durable = last_sequence(small_disk / "state", tmp_path / "copy")
        assert max(int(event.document["sequence"]) for event in host.watch.events) <= durable
        assert durable < EVENTS
        (small_disk / "ballast").unlink()

        await all_arrived(host, tape)
        host.agent.wait_log("store_works_again")
        assert not host.agent.logged("store_stalled"), "it answers: that it is full"


async def test_told_to_end_while_the_disk_is_full_it_ends_and_the_next_start_finds_what_was_not_written(
    tagging_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], small_disk: Path
) -> None:
    with EngineTape(tagging_engine) as tape:
        settings = {"state_dir": str(small_disk / "state")}
        host = make_host(tagging_engine, module_broker, POLICIES, proxied=False, settings=settings)
        fill(small_disk / "ballast")
        await asyncio.to_thread(tag_often, tagging_engine, EVENTS // 4)
        await asyncio.to_thread(host.agent.wait_log, "store_failing")
        # 5 s for the store, 5 s for the broker, and some for the rest.
        await asyncio.to_thread(host.agent.stop, within=20)
        lost = host.agent.logged("store_given_up")
        assert "full" in lost[0]["error"]
        assert sum(line["events"] for line in lost) >= 1
        (small_disk / "ballast").unlink()

        await asyncio.to_thread(host.agent.start)
        await all_arrived(host, tape)


async def test_what_an_outbox_had_no_room_for_is_told_with_its_count(
    tagging_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    settings = {"outbox": {"max_size": "1MiB"}}
    host = make_host(tagging_engine, broker, POLICIES, proxied=False, settings=settings)
    broker.stop()
    host.agent.wait_log("mqtt_down")
    await asyncio.to_thread(tag_often, tagging_engine, 4 * EVENTS)
    host.agent.kill()
    host.agent.start(ready=False)
    host.agent.wait_log("engine_up")
    await asyncio.to_thread(tag_often, tagging_engine, EVENTS)
    broker.start()

    await all_told(host)
    await host.watch.until(lambda _: not host.agent.query("SELECT 1 FROM outbox"))
    ((last,),) = host.agent.query("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")

    def missing() -> int:
        return int(last) - len({event.document["sequence"] for event in host.watch.events})

    def told() -> int:
        return sum(gap.data["count"] for gap in host.watch.told("agent", "event_gap"))

    await host.watch.until(lambda _: told() == missing())
    assert missing() > EVENTS
    assert {gap.data["cause"] for gap in host.watch.told("agent", "event_gap")} == {"outbox_overflow"}
    assert in_order(host)


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 7)


def corrupted(file: Path) -> None:
    with file.open("r+b") as opened:
        for page in range(2, file.stat().st_size // 4096):
            opened.seek(page * 4096)
            opened.write(b"\xff" * 64)


@pytest.mark.parametrize("harm", [truncated, corrupted])
async def test_what_a_damaged_outbox_held_is_told_to_be_lost_and_nothing_else_is(
    tagging_engine: PrivateEngine,
    make_broker: Callable[..., PrivateBroker],
    make_host: Callable[..., Host],
    harm: Callable[[Path], None],
) -> None:
    broker = make_broker()
    with EngineTape(tagging_engine) as tape:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False)
        tag_often(tagging_engine, 20)
        await host.watch.until(lambda _: set(tape.published()) <= set(host.watch.engine_events()))
        before = set(tape.published())
        broker.stop()
        host.agent.wait_log("mqtt_down")
        await asyncio.to_thread(tag_often, tagging_engine, EVENTS)
        await host.watch.until(lambda _: host.agent.status()["outbox"]["depth"] >= EVENTS)
        undelivered = set(tape.published()) - before
        host.agent.stop()
        rows = host.agent.query("SELECT payload FROM outbox")
        in_the_outbox = {str(json.loads(payload)["id"]) for (payload,) in rows}
        harm(host.agent.directory / "state" / "store.db")
        host.agent.start(ready=False)
        host.agent.wait_log("engine_up")
        broker.start()

        tag_often(tagging_engine, 20)
        await all_told(host)
        (gap,) = host.watch.told("agent", "event_gap", where=lambda told: bool(told.data["cause"] == "store_reset"))
        assert gap.document["severity"] == "critical"
        await host.watch.until(lambda _: not host.agent.query("SELECT 1 FROM outbox"))
        lost = in_the_outbox - {str(event.document["id"]) for event in host.watch.events}
        assert lost
        assert gap.data.get("count") in {None, len(lost)}
        if harm is corrupted:
            assert "count" not in gap.data, "all pages are: nothing tells it"
        wanted = set(tape.published()) - undelivered
        await host.watch.until(lambda _: wanted <= set(host.watch.engine_events()))
        stamps: dict[str, dict[str, int]] = {}
        for event in host.watch.events:  # the new store may count from 1 again: the engine's stamps tell the order
            if event.origin != "agent":
                stamps.setdefault(event.topic, {}).setdefault(event.document["id"], event.time_ns)
        assert all(list(first.values()) == sorted(first.values()) for first in stamps.values())


def one_page(file: Path) -> None:
    """Damage a page that is full of events."""
    content = file.read_bytes()
    pages = [page for page in range(1, len(content) // 4096) if content[page * 4096] == LEAF]
    hit = max(pages, key=lambda page: content.count(b'"specversion"', page * 4096, (page + 1) * 4096))
    with file.open("r+b") as opened:
        opened.seek(hit * 4096)
        opened.write(b"\xff" * 64)


async def test_one_damaged_page_costs_its_events_alone_and_they_are_counted(
    tagging_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    with EngineTape(tagging_engine) as tape:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False)
        broker.stop()
        host.agent.wait_log("mqtt_down")
        await asyncio.to_thread(tag_often, tagging_engine, EVENTS // 4)
        await host.watch.until(lambda _: host.agent.status()["outbox"]["depth"] >= EVENTS // 4)
        host.agent.stop()
        rows = host.agent.query("SELECT payload FROM outbox")
        in_the_outbox = {str(json.loads(payload)["id"]) for (payload,) in rows}
        one_page(host.agent.directory / "state" / "store.db")
        tag_often(tagging_engine, 5)  # while the agent is away: the cursor was read back, too
        host.agent.start(ready=False)
        host.agent.wait_log("engine_up")
        broker.start()

        await all_told(host)
        (gap,) = host.watch.told("agent", "event_gap")
        await host.watch.until(lambda _: not host.agent.query("SELECT 1 FROM outbox"))
        seen = {str(event.document["id"]) for event in host.watch.events}
        lost = in_the_outbox - seen
        assert 0 < len(lost) < 20
        assert (gap.data["cause"], gap.data["count"]) == ("store_reset", len(lost))
        assert len(set(tape.published()) - set(host.watch.engine_events())) <= len(lost)
        assert in_order(host)

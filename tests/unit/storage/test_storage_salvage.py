"""What is read back of a damaged store, and how many of its events are told to be lost."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.store_values import event, gap, intent, outcome, state
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.storage import OutboxDrop, SqliteStore

PAGE = 4096


def whole(sequence: int) -> EventMessage:
    """An event as the agent makes them, as far as the store reads it."""
    document = {"id": f"e{sequence}", "sequence": f"{sequence:012d}", "data": "x" * 300}
    return event(sequence, payload=json.dumps(document).encode())


async def opened(folder: Path, told: list[StoreReset] | None = None) -> SqliteStore:
    store = SqliteStore(folder, clock=SystemClock(), on_reset=None if told is None else told.append)
    await store.open()
    return store


async def filled(folder: Path, count: int = 300) -> None:
    """A store that an agent left in good order, with so many events undelivered."""
    store = await opened(folder)
    done, begun = intent(1), intent(2)
    for number in range(1, count + 1):
        await store.commit(
            Commit(
                cursor=Cursor(time_ns=number, event_id=f"c{number}"),
                event_ids=(f"c{number}",),
                events=(whole(number),),
                records=(Record(kind="cooldown", key=str(number), value={"at": number}),),
            )
        )
    await store.commit(Commit(intents=(done, begun), outcomes=(outcome(done),), states=(state("web", b"1"),)))
    await store.close()


def pages_of(file: Path, table: str) -> tuple[int, list[int]]:
    """The root of a table, and its leaves in order: read from the root, which has to be one level above them."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    content = file.read_bytes()
    page = content[(root - 1) * PAGE : root * PAGE]
    assert page[0] in {2, 5}, "an interior page"
    cells = int.from_bytes(page[3:5], "big")
    pointers = [int.from_bytes(page[12 + 2 * number : 14 + 2 * number], "big") for number in range(cells)]
    children = [int.from_bytes(page[pointer : pointer + 4], "big") for pointer in pointers]
    return root, [*children, int.from_bytes(page[8:12], "big")]


def scribble(file: Path, *pages: int) -> None:
    with file.open("r+b") as written:
        for page in pages:
            written.seek((page - 1) * PAGE)
            written.write(b"\xff" * 64)


async def waiting(store: SqliteStore) -> list[int]:
    return [message.sequence for message in await store.pending_events(after=0, limit=10_000)]


async def reset_of(store: SqliteStore) -> StoreReset:
    reset = (await store.load()).store_was_reset
    assert reset is not None
    return reset


@pytest.mark.parametrize("leaves", [slice(0, 1), slice(3, 4), slice(-1, None), slice(2, 9, 2), slice(0, None, 3)])
async def test_what_is_lost_with_damaged_pages_is_counted_and_all_else_goes_on(tmp_path: Path, leaves: slice) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.db"
    _, children = pages_of(file, "outbox")
    scribble(file, *children[leaves])

    store = await opened(tmp_path)

    reset, there = await reset_of(store), await waiting(store)
    assert 300 - 8 * len(children[leaves]) * 2 < len(there) < 300
    assert reset.count == 300 - len(there)
    assert there == sorted(set(there))
    assert reset.since is not None
    assert reset.until is not None
    assert reset.since < reset.until
    resume = await store.load()
    assert resume.cursor == Cursor(time_ns=300, event_id="c300")
    assert resume.recent_event_ids[-1] == "c300"
    assert resume.last_sequence == 300, "sequences go on"
    assert len(resume.records["cooldown"]) == 300
    assert resume.retained_topics == (state("web", b"").topic,)
    assert [each.decision.id for each in await store.open_intents()] == ["d2"]
    assert [row.intent.decision.id for row in await store.history(limit=5)] == ["d2", "d1"]
    assert f"{len(there)} undelivered events" in reset.why
    await store.close()


async def test_damage_beside_the_events_costs_none_of_them_but_the_memory(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.db"
    scribble(file, pages_of(file, "records")[1][1])

    store = await opened(tmp_path)

    assert await waiting(store) == list(range(1, 301))
    resume = await store.load()
    assert (resume.cursor, resume.records, resume.acts, resume.recent_event_ids) == (None, {}, (), ())
    reset = await reset_of(store)
    assert reset.count is None, "without the cursor nobody knows what the engine told since"
    assert "300 undelivered events were read back" in reset.why
    assert (await store.facts()).outbox_depth == 300
    await store.close()


async def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.db"
    os.truncate(file, file.stat().st_size * 2 // 3)

    store = await opened(tmp_path)

    there = await waiting(store)
    assert 50 < len(there) < 300
    reset = await reset_of(store)
    assert reset.count in {None, 300 - len(there)}
    await store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_damage_at_random_loses_nothing_that_is_not_counted(tmp_path: Path, seed: int) -> None:
    await filled(tmp_path, 120)
    file = tmp_path / "store.db"
    dice = random.Random(seed)
    size = file.stat().st_size
    with file.open("r+b") as written:
        for _ in range(dice.choice((1, 5, 40))):
            written.seek(dice.randrange(size - 200))
            written.write(dice.randbytes(dice.choice((1, 8, 200))))

    store = await opened(tmp_path)

    await waiting(store)  # what SQLite does not see is found as it is read
    resume, there = await store.load(), await waiting(store)
    if resume.store_was_reset is None or resume.store_was_reset.count == 0:
        assert there == list(range(1, 121))
    elif resume.store_was_reset.count is not None:
        assert resume.store_was_reset.count == 120 - len(there)
    await store.commit(Commit(events=(whole(121),)))
    await store.close()


async def test_an_event_that_is_not_what_was_written_is_not_sent(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.db"
    _, children = pages_of(file, "outbox")
    scribble(file, children[5])
    content = bytearray(file.read_bytes())
    at = content.index(b'"sequence": "000000000002"')
    content[at : at + 3] = b"\x00\x01\x02"
    file.write_bytes(content)

    store = await opened(tmp_path)

    there = await waiting(store)
    assert 2 not in there
    assert {1, 3} <= set(there)
    assert (await reset_of(store)).count == 300 - len(there)
    await store.close()


async def test_while_it_runs_the_agent_knows_how_many_were_undelivered(tmp_path: Path) -> None:
    await filled(tmp_path, 50)
    told: list[StoreReset] = []
    store = await opened(tmp_path, told)
    file = tmp_path / "store.db"
    with file.open("r+b") as written:
        written.write(b"\xff" * file.stat().st_size)
    for number in range(51, 100):  # sooner or later one of them reads a page from the disk
        await store.commit(Commit(events=(whole(number),)))
        await store.pending_events(after=0, limit=1000)
        if told:
            break

    (reset,) = told
    there = await waiting(store)
    newest = (await store.load()).last_sequence
    assert reset.count == newest - len(there)
    assert reset.count >= 49
    await store.close()


async def damaged_while_it_runs(tmp_path: Path, told: list[StoreReset], count: int = 50) -> SqliteStore:
    """A store that has so many events and is overwritten, as far as it is on the disk; the next call finds it."""
    store = await opened(tmp_path, told)
    for number in range(1, count + 1):
        await store.commit(Commit(events=(whole(number),)))
    file = tmp_path / "store.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as written:
        written.seek(PAGE)
        written.write(b"\xff" * (file.stat().st_size - PAGE))
    with closing(sqlite3.connect(file)) as other:  # its change counter tells the agent to read all pages anew
        other.execute("PRAGMA writable_schema = ON")
        other.execute("PRAGMA user_version = 2")
    return store


async def test_what_the_broker_had_acknowledged_is_not_told_to_be_lost(tmp_path: Path) -> None:
    told: list[StoreReset] = []
    store = await damaged_while_it_runs(tmp_path, told)
    await store.events_delivered(list(range(1, 41)))
    await store.commit(Commit(events=(whole(51),)))

    assert [(reset.count, reset.since is not None) for reset in told] == [(10, True)]
    assert (await reset_of(store)).count == 10
    assert await waiting(store) == [51]
    await store.commit(Commit(events=(gap(52, OutboxDrop(count=10, since=1.0, until=2.0), cause="store_reset"),)))
    assert (await store.load()).store_was_reset is None
    await store.close()


async def test_a_full_outbox_that_drops_what_told_of_the_loss_counts_it(tmp_path: Path) -> None:
    drops: list[OutboxDrop] = []
    store = SqliteStore(tmp_path, clock=SystemClock(), max_size=20_000, on_dropped=drops.append)
    await store.open()
    await store.commit(Commit(events=(gap(1, OutboxDrop(count=7, since=5.0, until=6.0), cause="store_reset"),)))
    for number in range(2, 60):
        await store.commit(Commit(events=(whole(number),)))
        if drops:
            break
    there = await waiting(store)

    assert drops[0].since == 5.0
    assert drops[0].count == 7 + number - len(there)
    await store.close()


async def test_a_damage_that_nobody_was_told_of_is_told_with_the_next(tmp_path: Path) -> None:
    lost = []
    for _ in range(2):
        store = await opened(tmp_path)
        newest = (await store.load()).last_sequence
        for number in range(newest + 1, newest + 301):
            await store.commit(Commit(cursor=Cursor(time_ns=1, event_id="c"), events=(whole(number),)))
        before = len(await waiting(store))
        await store.close()
        file = tmp_path / "store.db"
        scribble(file, pages_of(file, "outbox")[1][4])
        store = await opened(tmp_path)
        lost.append(before - len(await waiting(store)))
        await store.close()

    store = await opened(tmp_path)
    assert all(lost)
    assert (await reset_of(store)).count == sum(lost)
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_where_there_is_no_room_for_what_was_read_back_an_empty_store_does(small_disk: Path) -> None:
    folder = small_disk / "state"
    await filled(folder, 900)
    file = folder / "store.db"
    scribble(file, pages_of(file, "outbox")[1][4])
    free = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(free.f_bavail * free.f_bsize - file.stat().st_size // 2))

    store = await opened(folder)

    assert await waiting(store) == []
    assert (await reset_of(store)).count is None
    await store.commit(Commit(events=(whole(1),)))
    await store.close()


async def test_a_crash_between_setting_aside_and_putting_the_new_one_in_place_loses_nothing(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.db"
    scribble(file, pages_of(file, "outbox")[1][4])
    store = await opened(tmp_path)
    reset, there = await reset_of(store), await waiting(store)
    await store.close()
    file.rename(tmp_path / "store.db.new")

    store = await opened(tmp_path)

    assert await reset_of(store) == reset
    assert await waiting(store) == there
    await store.close()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE outbox SET topic = CAST(x'77ff77' AS TEXT) WHERE sequence = 7",
        "UPDATE outbox SET topic = x'77ff77' WHERE sequence = 7",
        "UPDATE outbox SET properties = '[[\"id\"' WHERE sequence = 7",
        "UPDATE outbox SET properties = '[[\"id\",1]]' WHERE sequence = 7",
    ],
)
async def test_an_event_that_is_none_costs_itself_alone_where_sqlite_sees_no_damage(tmp_path: Path, harm: str) -> None:
    await filled(tmp_path, 20)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute(harm)
        connection.commit()
    told: list[StoreReset] = []
    store = await opened(tmp_path, told)
    assert (await store.load()).store_was_reset is None

    assert await waiting(store) == [number for number in range(1, 21) if number != 7]

    assert [reset.count for reset in told] == [1]
    assert (await store.load()).cursor is not None
    await store.close()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE records SET value = '{\"at' WHERE key = '7'",
        "UPDATE meta SET value = '{}' WHERE key = 'cursor'",
        "UPDATE meta SET value = 'many' WHERE key = 'state_version'",
        "UPDATE ledger SET verb = 'restirt' WHERE id = 'd1'",
        "UPDATE ledger SET decision = '[]' WHERE id = 'd2'",
        "UPDATE seen SET event_id = CAST(x'ff' AS TEXT) WHERE number = 3",
    ],
)
async def test_a_memory_that_is_not_what_was_written_does_not_keep_the_agent_from_starting(
    tmp_path: Path, harm: str
) -> None:
    await filled(tmp_path, 20)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute(harm)
        connection.commit()

    store = await opened(tmp_path)

    resume = await store.load()
    assert (resume.cursor, resume.records, resume.acts) == (None, {}, ())
    assert resume.store_was_reset is not None
    assert await store.open_intents() == []
    assert await waiting(store) == list(range(1, 21))
    await store.close()


@pytest.mark.parametrize("note", ["[", "7", "[1]"])
async def test_a_note_that_is_not_what_was_written_leaves_the_count_unknown(tmp_path: Path, note: str) -> None:
    await filled(tmp_path, 20)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'undelivered'", (note,))
        connection.commit()

    store = await opened(tmp_path)

    assert (await reset_of(store)).count is None
    assert (await store.load()).cursor is not None
    assert await waiting(store) == list(range(1, 21))
    await store.close()

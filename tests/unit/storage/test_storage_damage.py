"""Files that are damaged, foreign, too new, locked or on a full disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.filling import fill_up
from tests.support.store_values import event, gap, intent, outcome, state
from watchtower_agent.clock import SystemClock
from watchtower_agent.errors import FatalError, TemporaryError
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.storage import OutboxDrop, SqliteStore
from watchtower_agent.storage.file import StoreFolder
from watchtower_agent.storage.ledger_text import decision_text
from watchtower_agent.storage.schema import APPLICATION_ID, MIGRATIONS
from watchtower_agent.storage.tables import Tables
from watchtower_agent.storage.writer import Writer


def make(folder: Path, **options: object) -> SqliteStore:
    return SqliteStore(folder, clock=SystemClock(), **options)  # type: ignore[arg-type] # the tests name its own options


def set_aside(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("store.db.corrupt-*")]


async def filled(folder: Path, count: int = 200) -> str:
    """Make a store with some pages in it; returns its install id."""
    store = make(folder)
    await store.open()
    install_id = (await store.load()).install_id
    for number in range(1, count + 1):
        await store.commit(Commit(event_ids=(f"e{number}",), events=(event(number, payload=bytes(500)),)))
    await store.close()
    return install_id


def truncate_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 7)


def truncate_all(file: Path) -> None:
    os.truncate(file, 0)


def scribble_header(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"this is not a database at all")


def scribble_pages(file: Path) -> None:
    with file.open("r+b") as opened:
        for page in range(2, file.stat().st_size // 4096):
            opened.seek(page * 4096)
            opened.write(b"\xff" * 64)


def replace_by_foreign(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE somebody (elses TEXT)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (truncate_half, "malformed"),
        (truncate_all, "the file was empty"),
        (scribble_header, "not a database"),
        (scribble_pages, "btreeInitPage"),
        (replace_by_foreign, "not a store of this agent"),
    ],
)
async def test_a_damaged_file_is_set_aside_and_a_new_one_started(
    tmp_path: Path, harm: Callable[[Path], None], problem: str
) -> None:
    install_id = await filled(tmp_path)
    harm(tmp_path / "store.db")
    store = make(tmp_path)
    await store.open()
    resume = await store.load()
    assert resume.store_was_reset is not None
    assert "set aside" in resume.store_was_reset.why
    assert problem in resume.store_was_reset.why
    assert resume.install_id != install_id
    assert len(set_aside(tmp_path)) == 1
    await store.commit(Commit(events=(event(1),)))
    await store.close()


async def test_a_reset_is_told_at_every_start_until_a_gap_event_was_committed(tmp_path: Path) -> None:
    await filled(tmp_path)
    truncate_all(tmp_path / "store.db")
    for _ in range(2):  # as if the agent was killed right after its start
        store = make(tmp_path)
        await store.open()
        assert (await store.load()).store_was_reset
        await store.commit(Commit(events=(event(1),)))
        await store.close()
    store = make(tmp_path)
    await store.open()
    assert (await store.load()).store_was_reset
    await store.commit(Commit(events=(gap(2, OutboxDrop(count=1, since=1.0, until=2.0)),)))
    assert (await store.load()).store_was_reset, "another loss was told"
    await store.commit(Commit(events=(gap(3, cause="store_reset"),)))
    assert not (await store.load()).store_was_reset
    await store.close()


async def test_a_crash_between_setting_aside_and_starting_anew_is_told_too(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "store.db").rename(tmp_path / "store.db.corrupt-20260101T000000Z-aaaa")
    store = make(tmp_path)
    await store.open()
    reset = (await store.load()).store_was_reset
    assert reset is not None
    assert "damaged" in reset.why
    assert reset.count is None
    await store.close()


async def test_only_a_few_damaged_files_are_kept(tmp_path: Path) -> None:
    for _ in range(6):
        await filled(tmp_path, 2)
        truncate_all(tmp_path / "store.db")
    store = make(tmp_path)
    await store.open()
    await store.close()
    assert len(set_aside(tmp_path)) == 3


async def test_damage_that_appears_while_running_keeps_the_callers_commit(tmp_path: Path) -> None:
    await filled(tmp_path)
    told: list[StoreReset] = []
    store = make(tmp_path, on_reset=told.append)
    await store.open()
    before = await store.load()
    with (tmp_path / "store.db").open("r+b") as opened:
        opened.write(b"\xff" * (tmp_path / "store.db").stat().st_size)
    for number in range(1000, 1050):  # sooner or later one of them reads a page from the disk
        await store.commit(
            Commit(
                cursor=Cursor(time_ns=number, event_id=f"e{number}"),
                events=(event(number),),
                intents=(intent(number),),
                outcomes=(outcome(intent(number)),),
                records=(Record(kind="k", key=str(number), value={"n": number}),),
                states=(state(f"w{number}", b"1"),),
            )
        )
        await store.pending_events(after=0, limit=1000)
        if told:
            break
    assert "set aside" in told[0].why
    after = await store.load()
    assert after.cursor == Cursor(time_ns=number, event_id=f"e{number}")
    assert after.last_sequence == number
    assert [message.sequence for message in await store.pending_events(after=0, limit=1000)][-1:] in ([number], [])
    assert after.install_id != before.install_id
    assert after.store_was_reset == told[0]
    await store.close()


async def test_a_state_acknowledged_as_the_old_store_knew_it_is_not_taken_for_a_newer_one_of_the_new_store(
    tmp_path: Path,
) -> None:
    await filled(tmp_path)
    told: list[StoreReset] = []
    store = make(tmp_path, on_reset=told.append)
    await store.open()
    for number in range(200):
        await store.commit(Commit(states=(state("web", b"%d" % number),)))
    on_its_way = await store.pending_states()
    with (tmp_path / "store.db").open("r+b") as opened:
        opened.write(b"\xff" * (tmp_path / "store.db").stat().st_size)
    for number in range(1000, 1050):  # sooner or later one of them reads a page from the disk
        await store.commit(Commit(states=(state("web", b"%d" % number),), events=(event(number),)))
        await store.pending_events(after=0, limit=1000)
        if told:
            break
    assert told
    await store.commit(Commit(states=(state("web", b"newest"),)))
    await store.states_delivered(on_its_way)
    assert [pending.payload for pending in await store.pending_states()] == [b"newest"]
    assert (await store.pending_states())[0].version > on_its_way[0].version, "what is sent next is the newer one"
    await store.close()


async def test_every_commit_is_on_the_disk_before_it_returns(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path, max_bytes=10**6)
    connection = folder.open(0.0)
    full = 2  # SQLite's number for it: in WAL mode anything less loses the last commits with the power
    assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_what_the_broker_acknowledged_while_the_store_could_not_be_written_leaves_it_later(
    tmp_path: Path,
) -> None:
    store = make(tmp_path)
    await store.open()
    await store.commit(Commit(events=(event(1), event(2)), states=(state("web", b"1"),)))
    delivered = await store.pending_states()
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await store.events_delivered([1])
    await store.states_delivered(delivered)
    with pytest.raises(TemporaryError, match="locked"):
        await store.facts()  # takes the acknowledgements along; both fail
    other.execute("ROLLBACK")
    other.close()
    assert [message.sequence for message in await store.pending_events(after=0, limit=10)] == [2]
    assert await store.pending_states() == []
    await store.close()


async def test_a_torn_write_ahead_log_costs_its_torn_end_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    store = make(folder)
    await store.open()
    for number in range(1, 51):
        await store.commit(Commit(events=(event(number),)))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("store.db", "store.db-wal"):  # what a power loss leaves: the log, torn in its last frame
        (copy / name).write_bytes((folder / name).read_bytes())
    await store.close()
    os.truncate(copy / "store.db-wal", (copy / "store.db-wal").stat().st_size - 100)
    torn = make(copy)
    await torn.open()
    assert not (await torn.load()).store_was_reset
    assert [message.sequence for message in await torn.pending_events(after=0, limit=100)] == list(range(1, 50))
    await torn.close()


async def test_a_file_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FatalError, match=r"newer watchtower-agent .*schema is 99"):
        await make(tmp_path).open()
    assert not set_aside(tmp_path)


async def test_a_file_of_an_older_agent_is_brought_up_to_date_with_all_that_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    connection = sqlite3.connect(folder / "store.db")
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    made = intent(1)
    connection.execute(
        """INSERT INTO ledger (id, policy, target, target_id, verb, decision, intent_at)
        VALUES ('d1', 'heal', 'web', 'web-id', 'restart', ?, 1001.5)""",
        (decision_text(made.decision),),
    )
    connection.execute("INSERT INTO meta VALUES ('install_id', 'abc')")
    connection.commit()
    connection.close()

    store = make(folder)
    await store.open()
    resume = await store.load()
    await store.commit(Commit(outcomes=(outcome(made),)))

    assert (resume.install_id, resume.store_was_reset) == ("abc", None)
    assert [(act.id, act.at.wall, act.at.boot) for act in resume.acts] == [("d1", 1001.5, "")]
    (row,) = await store.history(limit=5)
    assert row.outcome == outcome(made)
    await store.close()


async def test_two_agents_on_one_folder(tmp_path: Path) -> None:
    first = make(tmp_path)
    await first.open()
    with pytest.raises(FatalError, match=rf"process {os.getpid()}\) uses the state folder"):
        await make(tmp_path).open()
    await first.close()
    second = make(tmp_path)
    await second.open()
    await second.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FatalError, match="state_dir"):
        await make(tmp_path / "file" / "state").open()


async def test_only_the_agent_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    store = make(folder)
    await store.open()
    await store.commit(Commit(events=(event(1),)))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes
    await store.close()


async def test_the_files_own_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    store = make(tmp_path, hard_limit=1_000_000)
    await store.open()
    failed, error = await fill_up(store)
    assert "full" in str(error)
    await store.events_delivered(range(1, failed))
    await store.commit(Commit(events=(event(failed),)))
    assert [message.sequence for message in await store.pending_events(after=0, limit=10)] == [failed]
    assert (tmp_path / "store.db").stat().st_size <= 1_000_000
    await store.close()


async def test_a_commit_that_cannot_be_written_does_not_harm_its_neighbours(tmp_path: Path) -> None:
    store = make(tmp_path)
    await store.open()
    wrong = Commit(records=(Record(kind="k", key="k", value={"not JSON": object()}),))
    # While the first one is written, the others gather: they are one transaction.
    commits = [Commit(events=(event(1, payload=bytes(20_000_000)),)), Commit(events=(event(2),)), wrong]
    commits.append(Commit(events=(event(3),)))
    answers = await asyncio.gather(*(store.commit(commit) for commit in commits), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), type(None), TypeError, type(None)]
    assert [message.sequence for message in await store.pending_events(after=0, limit=10)] == [1, 2, 3]
    assert (await store.facts()).outbox_depth == 3
    await store.close()


KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.model.message import EventMessage
from watchtower_agent.storage import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), clock=SystemClock())
    await store.open()
    number = (await store.load()).last_sequence
    async def one(number):
        event = EventMessage(sequence=number, topic="t", payload=b"x" * 300)
        cursor = Cursor(time_ns=number, event_id=str(number))
        await store.commit(Commit(cursor=cursor, event_ids=(str(number),), events=(event,)))
        print(number, flush=True)
    while True:
        await asyncio.gather(*(one(number + step) for step in range(1, 6)))
        number += 5

asyncio.run(main())
"""


def write_until_killed(folder: Path, lines: int) -> int:
    """Let a writer commit, kill it after that many commits; returns the last one that it called durable."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        said += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return max(said)


async def test_nothing_committed_is_lost_to_kill_9(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    for round_number in range(6):
        said = write_until_killed(folder, 40 + 37 * round_number)
        store = make(folder)
        await store.open()
        resume = await store.load()
        pending = [message.sequence for message in await store.pending_events(after=0, limit=100_000)]
        await store.close()
        assert not resume.store_was_reset
        assert pending == list(range(1, resume.last_sequence + 1))
        assert resume.last_sequence >= said
        assert resume.cursor == Cursor(time_ns=pending[-1], event_id=str(pending[-1]))
        assert resume.recent_event_ids == tuple(str(number) for number in pending[-2048:])


async def test_a_fault_in_what_is_written_anew_after_damage_is_told_and_ends_nothing(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path, max_bytes=2**26)
    folder.lock()
    writer = Writer(folder, clock=SystemClock(), max_size=2**20, on_reset=lambda _reason: None)
    await writer.open()
    corrupt = sqlite3.DatabaseError("database disk image is malformed")
    corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    errors: list[Exception] = [corrupt, KeyError("of the agent's own")]

    def work(_tables: Tables) -> None:
        raise errors.pop(0)

    async with asyncio.timeout(10):
        with pytest.raises(KeyError):
            await writer.submit(work)
        assert await writer.submit(lambda tables: tables.facts().outbox_depth) == 0
        await writer.close()
    folder.unlock()

"""What can still be read of a damaged store goes into the new one: undelivered events one by one, the rest whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from watchtower_agent.model.observation import StoreReset
from watchtower_agent.model.values import dataclass
from watchtower_agent.storage.gaps import Undelivered
from watchtower_agent.storage.losses import read_reset
from watchtower_agent.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from watchtower_agent.storage.tables import ROW_OVERHEAD, UNDELIVERED, RottenError, Tables, event_of

_BATCH: Final = 256
_MOST_TRIED: Final = 50_000
"""Sequences that are tried one by one between two damaged pages: a second or two."""
_ROWS: Final = "SELECT sequence, topic, payload, properties, committed_at FROM outbox"
_MEMORY: Final = ("seen", "records", "ledger", "retained")
_OF_THE_FILE: Final = frozenset({"install_id", "reset", "reset_reason", UNDELIVERED})
"""What `meta` says of that file alone."""

_Row = tuple[Any, ...]


class _UnreadableError(Exception):
    """A part of the damaged file can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What became of a damaged store's content.

    Attributes:
        events: Undelivered events that are in the new store.
        undelivered: How many there were, as the file noted with each transaction; None where that can't be read.
        memory: Whether all else is in the new store: cursor, records, history, retained topics.
        untold: The reset of the store before that one, where nobody was told of it.
    """

    events: int = 0
    undelivered: Undelivered | None = None
    memory: bool = False
    untold: StoreReset | None = None


def salvage(wreck: Path, fresh: sqlite3.Connection) -> Salvaged:
    """Copy what is readable, within the transaction that is open.

    Args:
        wreck: A damaged file. It is only read: it stays as it is, to be looked at.
        fresh: An empty store at the present schema.

    Raises:
        sqlite3.Error: The new one can't be written; what was copied until then is to be rolled back.
    """
    try:
        with closing(_opened(wreck)) as old:
            return _Salvage(old, fresh).run()
    except _UnreadableError:
        return Salvaged()


def _opened(wreck: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"file:{quote(str(wreck))}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise _UnreadableError(str(error)) from None
    try:
        connection.execute("PRAGMA writable_schema = ON")  # or a file that was cut off is not read at all
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        present = connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise _UnreadableError(str(error)) from None
    if not (ours and present):
        connection.close()
        raise _UnreadableError("it is not a store of this agent, or one of another version")
    return connection


class _Salvage:
    def __init__(self, old: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
        self._old = old
        self._fresh = fresh

    def run(self) -> Salvaged:
        meta = self._meta()
        events = self._copy_events()
        try:
            undelivered = Undelivered.read(meta[UNDELIVERED])
        except (KeyError, ValueError, TypeError):
            undelivered = None
        memory = self._copy_memory(meta)
        self._copy_dead_letters()
        try:
            untold = read_reset(meta.get)
        except (ValueError, TypeError):
            untold = None
        return Salvaged(events=events, undelivered=undelivered, memory=memory, untold=untold)

    def _read(self, query: str, *values: object) -> Iterator[_Row]:
        try:
            yield from self._old.execute(query, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter while SQLite's own message is read
            raise _UnreadableError(str(error)) from None

    def _meta(self) -> dict[str, str]:
        try:
            return {str(key): str(value) for key, value in self._read("SELECT key, value FROM meta")}
        except _UnreadableError:
            return {}

    # --- events ----------------------------------------------------------------------------------------------------

    def _copy_events(self) -> int:
        count, batch = 0, []
        for sequence, topic, payload, properties, at in self._events():
            batch.append((sequence, topic, payload, properties, _size(topic, payload, properties), at))
            if len(batch) == _BATCH:
                count += self._write_events(batch)
                batch = []
        count += self._write_events(batch)
        last = self._last_sequence()
        if last is not None:  # sequences go on from there: also where the newest events can't be read
            self._fresh.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            self._fresh.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (last,))
        return count

    def _write_events(self, rows: list[_Row]) -> int:
        before = self._fresh.total_changes
        self._fresh.executemany("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?)", rows)
        return self._fresh.total_changes - before

    def _last_sequence(self) -> int | None:
        try:
            for (last,) in self._read("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"):
                return last if isinstance(last, int) else None
        except _UnreadableError:
            pass
        return None

    def _events(self) -> Iterator[_Row]:
        """Every event that can be read and is whole: from both ends up to what is damaged, then what is in between."""
        low, last = 0, self._last_sequence()
        try:
            for row in self._rows(f"{_ROWS} WHERE sequence > ? ORDER BY sequence", low):
                low = row[0]
                yield row
        except _UnreadableError:
            pass
        else:
            return
        high = low + _MOST_TRIED if last is None else last + 1
        try:
            for row in self._rows(f"{_ROWS} WHERE sequence > ? ORDER BY sequence DESC", low):
                high = row[0]
                yield row
        except _UnreadableError:
            yield from self._between(max(low, high - _MOST_TRIED), high)

    def _between(self, low: int, high: int) -> Iterator[_Row]:
        for sequence in range(low + 1, high):
            try:
                yield from self._rows(f"{_ROWS} WHERE sequence = ?", sequence)
            except _UnreadableError:
                continue

    def _rows(self, query: str, after: int) -> Iterator[_Row]:
        for row in self._read(query, after):
            if _is_whole(row):
                yield row

    # --- all else --------------------------------------------------------------------------------------------------

    def _copy_memory(self, meta: dict[str, str]) -> bool:
        """All of it or nothing: cooldowns without the history they belong to, or events without both, mislead."""
        if not meta:
            return False
        self._fresh.execute("SAVEPOINT memory")
        try:
            for table in _MEMORY:
                self._copy(table)
            kept = [(key, value) for key, value in meta.items() if key not in _OF_THE_FILE]
            self._fresh.executemany("INSERT INTO meta VALUES (?, ?)", kept)
            Tables(self._fresh, max_size=0).read_all()
        except Exception as error:
            self._undo("memory")
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise  # the new file can't be written
            return False  # whatever is wrong with it: the agent must start
        self._fresh.execute("RELEASE memory")
        return True

    def _copy_dead_letters(self) -> None:
        self._fresh.execute("SAVEPOINT dead")
        try:
            self._copy("dead_letters")
        except (_UnreadableError, sqlite3.IntegrityError):
            self._undo("dead")
        else:
            self._fresh.execute("RELEASE dead")

    def _copy(self, table: str) -> None:
        rows = self._read(f"SELECT * FROM {table}")  # noqa: S608 - one of our own names
        for row in rows:
            self._fresh.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - as above

    def _undo(self, savepoint: str) -> None:
        if self._fresh.in_transaction:  # a full disk may have ended it
            self._fresh.execute(f"ROLLBACK TO {savepoint}")
            self._fresh.execute(f"RELEASE {savepoint}")


def _size(topic: str, payload: bytes, properties: str) -> int:
    return len(payload) + len(topic) + len(properties) + ROW_OVERHEAD


def _is_whole(row: _Row) -> bool:
    """Whether it is what was written: SQLite has no checksums, so a damaged page may give something else."""
    *content, at = row
    try:
        event = event_of(*content)
        return isinstance(at, float) and int(json.loads(event.payload)["sequence"]) == event.sequence
    except (RottenError, ValueError, TypeError, KeyError, RecursionError):
        return False

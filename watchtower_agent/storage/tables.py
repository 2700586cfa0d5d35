"""What is read from and written to the tables. Runs in the writer's thread, inside a transaction that it opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace

from watchtower_agent.model.commit import Commit
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.observation import Resume, StoreReset
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.store import StoreFacts
from watchtower_agent.storage.gaps import (
    DEAD,
    GAP_TOPIC_PART,
    OVERFLOW,
    RESET,
    DeadLetters,
    OutboxDrop,
    Told,
    Undelivered,
)
from watchtower_agent.storage.ledger_table import LedgerTable
from watchtower_agent.storage.ledger_text import text_of

SEEN_KEPT = 2048
DEAD_LETTERS_KEPT = 1_000
DEAD_PAYLOAD_KEPT = 16 * 1024
"""Bytes of a dead letter's payload that are kept: enough to know what it was."""
ROW_OVERHEAD = 64
"""Bytes that a row takes beside its topic, payload and properties, roughly."""
UNDELIVERED = "undelivered"
_RESET = "reset"


class RottenError(Exception):
    """A row is not what was written: the file is damaged where SQLite, which has no checksums, does not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is counted in memory rather than asked of the tables at every commit."""

    depth: int
    size: int
    version: int
    noted: Undelivered | None = None


class Tables:
    """The tables of one open file.

    Args:
        connection: Open, at the present schema.
        max_size: Bytes that undelivered events may take; past that the oldest are dropped.
        versions_after: Versions of retained topics go on above that one: where the file before this one was set aside
            while the agent ran, what the broker is still to acknowledge carries that file's.

    Attributes:
        ledger: What was begun, and how it ended.
    """

    def __init__(self, connection: sqlite3.Connection, *, max_size: int, versions_after: int = 0) -> None:
        self._db = connection
        self._max_size = max_size
        self.ledger = LedgerTable(connection)
        self._wrote_at: float | None = None
        """When events were committed last."""
        counted = self._counted()
        self.tally = replace(counted, version=max(counted.version, versions_after))

    def _counted(self) -> Tally:
        depth, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()
        noted = self._meta(UNDELIVERED)
        return Tally(
            depth=depth,
            size=size,
            version=int(self._meta("state_version") or 0),
            noted=None if noted is None else Undelivered.read(noted),
        )

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str | None) -> None:
        """Remember it, or forget it."""
        if value is None:
            self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # --- commits -------------------------------------------------------------------------------------------------

    def write(self, commit: Commit, *, at: float) -> OutboxDrop | None:
        """Write all of it.

        Args:
            commit: What the loop made durable. Writing the same one twice is writing it once.
            at: Seconds since the epoch.

        Returns:
            What the byte cap dropped to make room.
        """
        if commit.cursor is not None:
            self.set_meta("cursor", text_of({"time_ns": commit.cursor.time_ns, "event_id": commit.cursor.event_id}))
        if commit.event_ids:
            self._write_seen(commit.event_ids)
        self.ledger.write(commit.intents, commit.outcomes)
        for record in commit.records:
            where = (record.kind, record.key)
            if record.value is None:
                self._db.execute("DELETE FROM records WHERE kind = ? AND key = ?", where)
            else:
                self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (*where, text_of(record.value)))
        if commit.states:
            self._write_states(commit.states)
        if commit.events:
            self._declare(commit.events)
            self._write_events(commit.events, at)
            return self._make_room()
        return None

    def _declare(self, events: Iterable[EventMessage]) -> None:
        """What the gap events among them tell needs no other one."""
        for told in (Told.by(event.payload) for event in events if GAP_TOPIC_PART in event.topic):
            if told.cause == OVERFLOW:
                self._drop_declared(told.count)
            elif told.cause == DEAD:
                self._dead_declared(told)
            elif told.cause == RESET:
                self.set_meta(_RESET, None)
                self.set_meta("reset_reason", None)

    def _write_seen(self, event_ids: Sequence[str]) -> None:
        self._db.executemany("INSERT INTO seen (event_id) VALUES (?)", [(event_id,) for event_id in event_ids])
        self._db.execute("DELETE FROM seen WHERE number <= (SELECT max(number) FROM seen) - ?", (SEEN_KEPT,))

    def _write_states(self, states: Iterable[StateMessage]) -> None:
        for state in states:
            row = self._db.execute("SELECT payload FROM retained WHERE topic = ?", (state.topic,)).fetchone()
            if row is not None and row[0] == state.payload:
                continue  # nothing new to tell the broker
            version = self.tally.version + 1
            self.tally = replace(self.tally, version=version)
            self._db.execute(
                """INSERT INTO retained (topic, payload, version) VALUES (?, ?, ?)
                ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, version = excluded.version""",
                (state.topic, state.payload, version),
            )
        self.set_meta("state_version", str(self.tally.version))

    def _write_events(self, events: Sequence[EventMessage], at: float) -> None:
        self._wrote_at = at
        rows = []
        for event in events:
            properties = json.dumps(event.properties, ensure_ascii=False, separators=(",", ":"))
            size = len(event.payload) + len(event.topic) + len(properties) + ROW_OVERHEAD
            rows.append((event.sequence, event.topic, event.payload, properties, size, at))
        before = self._db.total_changes
        self._db.executemany("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?)", rows)
        if self._db.total_changes - before == len(rows):
            self._count(len(rows), sum(row[4] for row in rows))
        else:
            # A commit whose end was not known is tried again: its rows may be there. The newest content counts.
            self._db.executemany("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?)", rows)
            self.tally = replace(self._counted(), version=self.tally.version)

    def _count(self, depth: int, size: int) -> None:
        self.tally = replace(self.tally, depth=self.tally.depth + depth, size=self.tally.size + size)

    def _make_room(self) -> OutboxDrop | None:
        if self.tally.size <= self._max_size:
            return None
        # A little more than needed, so that a full outbox does not declare a gap for every single event.
        goal = self._max_size - self._max_size // 20
        excess, last, count, size, since, until = self.tally.size - goal, -1, 0, 0, 0.0, 0.0
        for sequence, row_size, at in self._db.execute(
            "SELECT sequence, size, committed_at FROM outbox ORDER BY sequence"
        ):
            since = at if count == 0 else min(since, at)
            last, count, size, until = sequence, count + 1, size + row_size, max(until, at)
            if size >= excess:
                break
        dropped = OutboxDrop(count=count, since=since, until=until)
        # What a dropped gap event told is untold again: the next one tells it too.
        for (payload,) in self._db.execute(
            "SELECT payload FROM outbox WHERE sequence <= ? AND instr(topic, ?)", (last, GAP_TOPIC_PART)
        ):
            dropped = dropped.joined(Told.by(payload).carried())
        self._db.execute("DELETE FROM outbox WHERE sequence <= ?", (last,))
        self._count(-count, -size)
        self.set_meta("dropped", str(int(self._meta("dropped") or 0) + count))
        whole = dropped.joined(self.undeclared_drop())
        self.set_meta("undeclared_drop", text_of(asdict(whole)))
        return dropped

    # --- losses that nobody was told of yet ------------------------------------------------------------------------

    def undeclared_drop(self) -> OutboxDrop | None:
        """Dropped events that no gap event speaks of yet."""
        text = self._meta("undeclared_drop")
        return None if text is None else OutboxDrop(**json.loads(text))

    def _drop_declared(self, count: int) -> None:
        """A gap event of so many was committed; what was dropped since stays undeclared."""
        whole = self.undeclared_drop()
        left = 0 if whole is None else whole.count - count
        # The window stays: among what was dropped since may be a gap event whose own window reaches further back.
        text = None if whole is None or left <= 0 else text_of({**asdict(whole), "count": left})
        self.set_meta("undeclared_drop", text)

    def undeclared_dead(self) -> DeadLetters | None:
        """Dead letters that no gap event speaks of yet."""
        text = self._meta("undeclared_dead")
        return None if text is None else DeadLetters.read(text)

    def _dead_declared(self, told: Told) -> None:
        whole = self.undeclared_dead()
        self._remember_dead("undeclared_dead", whole and whole.without(told.count, told.sequences))

    def _remember_dead(self, key: str, letters: DeadLetters | None) -> None:
        self.set_meta(key, None if letters is None else text_of(asdict(letters)))

    def reset(self) -> StoreReset | None:
        """What became of the store before this one, as long as no gap event speaks of it."""
        return read_reset(self._meta)

    def write_reset(self, reset: StoreReset) -> None:
        """It is to be told."""
        self.set_meta(_RESET, text_of(asdict(reset)))

    def note(self) -> None:
        """Note how many events are undelivered, before the transaction ends."""
        before = self.tally.noted
        noted = Undelivered()
        if self.tally.depth and before is None:  # of an earlier version, or new
            since, until = self._db.execute("SELECT min(committed_at), max(committed_at) FROM outbox").fetchone()
            noted = Undelivered(count=self.tally.depth, since=since, until=until)
        elif self.tally.depth and before is not None:
            since = before.since if before.count else self._wrote_at
            until = before.until if self._wrote_at is None else self._wrote_at
            noted = Undelivered(count=self.tally.depth, since=since, until=until)
        if noted != self.tally.noted:
            self.tally = replace(self.tally, noted=noted)
            self.set_meta(UNDELIVERED, noted.text())

    # --- delivery --------------------------------------------------------------------------------------------------

    def forget_events(self, sequences: Iterable[int]) -> None:
        """The broker has them."""
        for sequence in sequences:
            rows = self._db.execute("DELETE FROM outbox WHERE sequence = ? RETURNING size", (sequence,)).fetchall()
            for (size,) in rows:
                self._count(-1, -size)
            if not rows and (reset := self.reset()) is not None and reset.count:
                # It was lost with the damaged store, and had arrived: that only was not noted yet.
                self.write_reset(replace(reset, count=reset.count - 1))

    def mark_states(self, versions: Iterable[tuple[str, int]]) -> None:
        """The broker has these versions of these topics."""
        for topic, version in versions:
            self._db.execute("UPDATE retained SET acked = max(acked, ?) WHERE topic = ?", (version, topic))
            self._db.execute("DELETE FROM retained WHERE topic = ? AND payload = x'' AND acked >= version", (topic,))

    def pending_events(self, after: int, limit: int) -> list[EventMessage]:
        """Undelivered events above that sequence, in order."""
        rows = self._db.execute(
            "SELECT sequence, topic, payload, properties FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [event_of(*row) for row in rows]

    def states(self, *, pending_only: bool) -> list[StateMessage]:
        """Retained topics with their newest content, in order of change."""
        where = "WHERE acked < version " if pending_only else ""
        rows = self._db.execute(f"SELECT topic, payload, version FROM retained {where}ORDER BY version")  # noqa: S608 - one of two fixed texts
        return [StateMessage(topic=topic, payload=payload, version=version) for topic, payload, version in rows]

    def bury(self, message: EventMessage, *, reason: str, at: float) -> DeadLetters | None:
        """Move it to the dead letters.

        Returns:
            What a gap event has to tell of now. None for a gap event: a broker that takes none would be sent another
            one for ever. That it is gone, and what it told, is told with the next dead letter.
        """
        lost = self._lost(message)
        if lost is not None:
            self.set_meta("buried", str(self._buried() + 1))
        self.forget_events((message.sequence,))
        self._db.execute(
            "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(message.sequence, message.topic, message.payload[:DEAD_PAYLOAD_KEPT], len(message.payload)),
                *(json.dumps(message.properties, ensure_ascii=False), reason, at),
            ),
        )
        self._db.execute(
            """DELETE FROM dead_letters WHERE sequence NOT IN
            (SELECT sequence FROM dead_letters ORDER BY sequence DESC LIMIT ?)""",
            (DEAD_LETTERS_KEPT,),
        )
        if lost is None:
            return None
        silent = self._meta("silent_dead")
        lost = lost if silent is None else DeadLetters.read(silent).joined(lost)
        if GAP_TOPIC_PART in message.topic:
            self._remember_dead("silent_dead", lost)
            return None
        self._remember_dead("silent_dead", None)
        before = self.undeclared_dead()
        self._remember_dead("undeclared_dead", lost if before is None else before.joined(lost))
        return lost

    def _buried(self) -> int:
        return int(self._meta("buried") or 0)

    def _lost(self, message: EventMessage) -> DeadLetters | None:
        """What its loss adds to what has to be told; None where that was told.

        That is so where it is not in the outbox any more: it was buried before, its end not known; or it was in memory
        when the byte cap dropped it, and counted there.
        """
        row = self._db.execute("SELECT committed_at FROM outbox WHERE sequence = ?", (message.sequence,)).fetchone()
        if row is None:
            return None
        (committed,) = row
        lost = DeadLetters(count=1, since=committed, until=committed, sequences=(message.sequence,))
        if GAP_TOPIC_PART in message.topic:
            told = Told.by(message.payload)
            if told.window is not None:
                since, until = told.window
                lost = DeadLetters(count=told.count, since=since, until=until, sequences=told.sequences).joined(lost)
        return lost

    # --- reading ---------------------------------------------------------------------------------------------------

    def resume(self) -> Resume:
        """Everything that an earlier run left."""
        cursor = self._meta("cursor")
        records: dict[str, dict[str, dict[str, object]]] = {}
        for kind, key, value in self._db.execute("SELECT kind, key, value FROM records"):
            records.setdefault(kind, {})[key] = json.loads(value)
        last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return Resume(
            cursor=None if cursor is None else Cursor(**json.loads(cursor)),
            recent_event_ids=tuple(row[0] for row in self._db.execute("SELECT event_id FROM seen ORDER BY number")),
            records=records,
            last_sequence=0 if last is None else last[0],
            install_id=self._meta("install_id") or "",
            retained_topics=tuple(row[0] for row in self._db.execute("SELECT topic FROM retained ORDER BY topic")),
            store_was_reset=self.reset(),
            acts=tuple(self.ledger.acts()),
        )

    def read_all(self) -> None:
        """Read everything that a start reads, so that what is damaged is found before.

        Raises:
            RottenError: There is something else than what was written.
        """
        try:
            self.resume()
            self.ledger.open_intents()
            self.undeclared_drop()
            self.undeclared_dead()
            if (silent := self._meta("silent_dead")) is not None:
                DeadLetters.read(silent)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise RottenError(f"{type(error).__name__}: {error}") from None

    def facts(self) -> StoreFacts:
        """Depth and size of the outbox, and what was dropped."""
        return StoreFacts(
            outbox_depth=self.tally.depth,
            outbox_bytes=self.tally.size,
            outbox_oldest=self._db.execute("SELECT committed_at FROM outbox ORDER BY sequence LIMIT 1").fetchone()[0]
            if self.tally.depth
            else None,
            dropped=int(self._meta("dropped") or 0),
            dead_letters=self._db.execute("SELECT count(*) FROM dead_letters").fetchone()[0],
            buried=self._buried(),
        )


def event_of(sequence: object, topic: object, payload: object, properties: str) -> EventMessage:
    """The event of a row.

    Raises:
        RottenError: That is none.
    """
    try:
        pairs = tuple((name, value) for name, value in json.loads(properties))
    except (ValueError, TypeError, RecursionError):
        pairs = (("", None),)
    texts = isinstance(topic, str) and all(isinstance(each, str) for pair in pairs for each in pair)
    if not (texts and isinstance(sequence, int) and isinstance(topic, str) and isinstance(payload, bytes)):
        raise RottenError(f"event {sequence} in the outbox is not what was written")
    return EventMessage(sequence=sequence, topic=topic, payload=payload, properties=pairs)


def read_reset(meta: Callable[[str], str | None]) -> StoreReset | None:
    """What `meta` says of the store before; agents before this one noted the sentence alone."""
    text = meta(_RESET)
    if text is not None:
        return StoreReset(**json.loads(text))
    why = meta("reset_reason")
    return StoreReset(why=why) if why else None

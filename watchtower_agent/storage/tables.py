"""What is read from and written to the tables. Runs in the writer's thread, inside a transaction that it opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

from watchtower_agent.model.commit import Commit
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.store import StoreFacts
from watchtower_agent.storage.gaps import GAP_TOPIC_PART, DeadLetters, OutboxDrop, Told, Undelivered
from watchtower_agent.storage.ledger_table import LedgerTable
from watchtower_agent.storage.ledger_text import text_of
from watchtower_agent.storage.losses import Losses
from watchtower_agent.storage.meta import Meta

SEEN_KEPT = 2048
DEAD_LETTERS_KEPT = 1_000
DEAD_PAYLOAD_KEPT = 16 * 1024
"""Bytes of a dead letter's payload that are kept: enough to know what it was."""
ROW_OVERHEAD = 64
"""Bytes that a row takes beside its topic, payload and properties, roughly."""
UNDELIVERED = "undelivered"


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
        losses: What was lost, and is to be told.
    """

    def __init__(self, connection: sqlite3.Connection, *, max_size: int, versions_after: int = 0) -> None:
        self._db = connection
        self._max_size = max_size
        self._meta = Meta(connection)
        self.ledger = LedgerTable(connection)
        self.losses = Losses(self._meta)
        self._wrote_at: float | None = None
        """When events were committed last."""
        counted = self._counted()
        self.tally = replace(counted, version=max(counted.version, versions_after))

    def _counted(self) -> Tally:
        depth, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()
        noted = self._meta.get(UNDELIVERED)
        return Tally(
            depth=depth,
            size=size,
            version=self._meta.count("state_version"),
            noted=None if noted is None else Undelivered.read(noted),
        )

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
            self._meta.set("cursor", text_of({"time_ns": commit.cursor.time_ns, "event_id": commit.cursor.event_id}))
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
            self.losses.declare(commit.events)
            self._write_events(commit.events, at)
            return self._make_room()
        return None

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
        self._meta.set("state_version", str(self.tally.version))

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
        self._meta.add("dropped", count)
        self.losses.dropped(dropped)
        return dropped

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
            self._meta.set(UNDELIVERED, noted.text())

    # --- delivery --------------------------------------------------------------------------------------------------

    def forget_events(self, sequences: Iterable[int]) -> None:
        """The broker has them."""
        for sequence in sequences:
            rows = self._db.execute("DELETE FROM outbox WHERE sequence = ? RETURNING size", (sequence,)).fetchall()
            for (size,) in rows:
                self._count(-1, -size)
            if not rows:
                self.losses.arrived()

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
            What a gap event has to tell of now (`Losses.buried`). None where its loss was told: it is not in the outbox
            any more, as it was buried before, its end not known; or it was in memory when the byte cap dropped it, and
            counted there.
        """
        row = self._db.execute("SELECT committed_at FROM outbox WHERE sequence = ?", (message.sequence,)).fetchone()
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
        if row is None:
            return None
        self._meta.add("buried", 1)
        return self.losses.buried(message, row[0])

    # --- reading ---------------------------------------------------------------------------------------------------

    def resume(self) -> Resume:
        """Everything that an earlier run left."""
        cursor = self._meta.get("cursor")
        records: dict[str, dict[str, dict[str, object]]] = {}
        for kind, key, value in self._db.execute("SELECT kind, key, value FROM records"):
            records.setdefault(kind, {})[key] = json.loads(value)
        last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return Resume(
            cursor=None if cursor is None else Cursor(**json.loads(cursor)),
            recent_event_ids=tuple(row[0] for row in self._db.execute("SELECT event_id FROM seen ORDER BY number")),
            records=records,
            last_sequence=0 if last is None else last[0],
            install_id=self._meta.get("install_id") or "",
            retained_topics=tuple(row[0] for row in self._db.execute("SELECT topic FROM retained ORDER BY topic")),
            store_was_reset=self.losses.reset(),
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
            self.losses.read_all()
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
            dropped=self._meta.count("dropped"),
            dead_letters=self._db.execute("SELECT count(*) FROM dead_letters").fetchone()[0],
            buried=self._meta.count("buried"),
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

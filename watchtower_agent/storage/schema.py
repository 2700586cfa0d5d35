"""The tables, and the steps that lead from an older file to the present one."""

from __future__ import annotations

APPLICATION_ID = 0x57415441
"""Marks the file as ours in SQLite's header, so that a foreign database is not taken for an old store."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # AUTOINCREMENT remembers the highest sequence after the outbox is empty.
        """CREATE TABLE outbox (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            topic TEXT NOT NULL,
            payload BLOB NOT NULL,
            properties TEXT NOT NULL,
            size INTEGER NOT NULL,
            committed_at REAL NOT NULL)""",
        # Versions come from one counter, so a topic that left and came back never reuses one.
        """CREATE TABLE retained (
            topic TEXT PRIMARY KEY,
            payload BLOB NOT NULL,
            version INTEGER NOT NULL,
            acked INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        "CREATE INDEX retained_pending ON retained (version) WHERE acked < version",
        """CREATE TABLE ledger (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            policy TEXT NOT NULL,
            target TEXT NOT NULL,
            target_id TEXT NOT NULL,
            verb TEXT NOT NULL,
            decision TEXT NOT NULL,
            intent_at REAL NOT NULL,
            started_at_before REAL,
            result TEXT,
            outcome TEXT)""",
        "CREATE INDEX ledger_open ON ledger (number) WHERE result IS NULL",
        "CREATE TABLE records (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID",
        "CREATE TABLE seen (number INTEGER PRIMARY KEY, event_id TEXT NOT NULL)",
        """CREATE TABLE dead_letters (
            sequence INTEGER PRIMARY KEY,
            topic TEXT NOT NULL,
            payload BLOB NOT NULL,
            size INTEGER NOT NULL,
            properties TEXT NOT NULL,
            reason TEXT NOT NULL,
            buried_at REAL NOT NULL)""",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # Both clocks at the intent and at the outcome: how long ago that was is counted over steps of the wall clock.
        "ALTER TABLE ledger ADD COLUMN begun TEXT",
        "ALTER TABLE ledger ADD COLUMN ended TEXT",
        # Notifications and actions are kept in numbers of their own: a storm of the former forgets none of the latter.
        "CREATE INDEX ledger_told ON ledger (verb = 'notify', number)",
    ),
)
"""Forward only: entry n leads from schema n to n + 1. Never edit one that was released; append."""

SCHEMA_VERSION = len(MIGRATIONS)

"""The one durable file: outbox, ledger, cursor, retained topics, remembered state. Nothing else imports sqlite3."""

from watchtower_agent.storage.gaps import DeadLetters, OutboxDrop
from watchtower_agent.storage.store import SqliteStore

__all__ = ["DeadLetters", "OutboxDrop", "SqliteStore"]

"""The one durable file: outbox, ledger, cursor, retained topics, remembered state. Nothing else imports sqlite3."""

from watchtower_agent.storage.store import SqliteStore
from watchtower_agent.storage.tables import OutboxDrop

__all__ = ["OutboxDrop", "SqliteStore"]

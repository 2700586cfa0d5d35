"""Single values that the store remembers, by name. Runs in the writer's thread."""

from __future__ import annotations

import sqlite3


class Meta:
    """The table of them.

    Args:
        connection: Open, at the present schema.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def get(self, key: str) -> str | None:
        """What is remembered; None: nothing."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, key: str, value: str | None) -> None:
        """Remember it, or forget it."""
        if value is None:
            self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add(self, key: str, count: int) -> None:
        """Count so many more there."""
        self.set(key, str(self.count(key) + count))

    def count(self, key: str) -> int:
        """What was counted there."""
        return int(self.get(key) or 0)

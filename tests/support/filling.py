"""Filling a store until it says that it is full."""

from __future__ import annotations

from tests.support.store_values import event
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.commit import Commit
from watchtower_agent.storage import SqliteStore


async def fill_up(store: SqliteStore, first: int = 1) -> tuple[int, TemporaryError]:
    """Commit until it fails; returns the sequence that was not written, and the error."""
    for number in range(first, first + 10_000):
        try:
            await store.commit(Commit(event_ids=(f"e{number}",), events=(event(number, payload=bytes(2000)),)))
        except TemporaryError as error:
            return number, error
    raise AssertionError("the disk never was full")

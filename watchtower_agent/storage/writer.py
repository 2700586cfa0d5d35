"""The one thread that touches the file: it takes calls and commits them in groups."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock
from watchtower_agent.storage.file import StoreFolder, damaged, translated
from watchtower_agent.storage.gaps import Undelivered
from watchtower_agent.storage.tables import Tables

_GROUP = 512
"""Calls in one transaction at most."""
_CLOSING_MAY_TAKE = 10.0
"""Seconds for the end: a disk that hangs does not keep the process from ending."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Work for the thread, and who waits for it."""

    work: Callable[[Tables], Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """How a call ended: with a result or an error."""

    to: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs calls on the tables, in order, in a thread of its own.

    A call that finds the thread idle is a transaction at once; calls that arrive during a commit form the next one
    together. Work may run twice (after a failure of its group), so it must change nothing but the tables.

    Args:
        folder: Where the file is; locked already.
        clock: For the name of a file that is set aside.
        max_size: The outbox's byte cap.
        on_reset: Called in the event loop when a damaged file was replaced while running.
    """

    def __init__(
        self, folder: StoreFolder, *, clock: Clock, max_size: int, on_reset: Callable[[StoreReset], None]
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._max_size = max_size
        self._on_reset = on_reset
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: sqlite3.Connection | None = None
        self._tables: Tables | None = None
        self._versions = 0
        """The newest version of a retained topic in a file that was set aside."""

    @property
    def running(self) -> bool:
        """Whether calls are taken."""
        return self._thread is not None

    async def open(self) -> None:
        """Start the thread and open the file in it. Raises what opening raises."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._run, args=(opened,), name="store", daemon=True)
        thread.start()
        try:
            await opened
        except BaseException:
            self._calls.put(None)
            await asyncio.to_thread(thread.join)
            raise
        self._thread = thread

    async def close(self) -> None:
        """Do what waits, then close the file and end the thread; a disk that does not answer is not waited for."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._calls.put(None)
        await asyncio.to_thread(thread.join, _CLOSING_MAY_TAKE)

    def submit(self, work: Callable[[Tables], T]) -> asyncio.Future[T]:
        """Hand over work; the future ends when its transaction is on the disk."""
        if self._thread is None or self._loop is None:
            raise TemporaryError("The store is not open.")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._calls.put(_Call(work=work, answer=answer))
        return answer

    # --- in the thread ---------------------------------------------------------------------------------------------

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            self._open_file()
        except BaseException as error:  # noqa: BLE001 - it is handed to whoever waits for the opening
            self._tell(_Answer(to=opened, error=error))
            return
        self._tell(_Answer(to=opened))
        while group := self._next_group():
            self._tell(*self._answers(group))
        if self._connection is not None:
            self._connection.close()

    def _next_group(self) -> list[_Call]:
        """All calls that wait, at least one; none when the thread is to end."""
        first = self._calls.get()
        if first is None:
            return []
        group = [first]
        while len(group) < _GROUP:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                break
            if call is None:
                self._calls.put(None)  # the end comes after this group
                break
            group.append(call)
        return group

    def _tell(self, *answers: _Answer) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve, answers)

    def _open_file(self) -> tuple[sqlite3.Connection, Tables]:
        connection = self._folder.open(self._clock.now().wall)
        tables = Tables(connection, max_size=self._max_size, versions_after=self._versions)
        self._connection, self._tables = connection, tables
        return connection, tables

    def _answers(self, group: Sequence[_Call]) -> list[_Answer]:
        """Do the group as one transaction; when that fails, each call as its own, so that one can't fail another."""
        try:
            results = self._transaction(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it and the thread goes on
            if damaged(error):
                return self._after_damage(group, error)
            if len(group) > 1:
                return [answer for call in group for answer in self._answers([call])]
            return [_Answer(to=group[0].answer, error=self._known(error))]
        return [_Answer(to=call.answer, result=result) for call, result in zip(group, results, strict=True)]

    def _transaction(self, group: Sequence[_Call]) -> list[Any]:
        fresh = self._connection is None or self._tables is None  # a damaged file was set aside
        if self._connection is None or self._tables is None:
            connection, tables = self._open_file()
        else:
            connection, tables = self._connection, self._tables
        tally, changes = tables.tally, connection.total_changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [call.work(tables) for call in group]
            if connection.total_changes != changes:
                tables.note()
            connection.execute("COMMIT")
        except BaseException:
            tables.tally = tally
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            # Told as soon as the new store is there, also when this write fails; of what it says to be acknowledged
            # nothing is lost.
            if fresh and self._loop is not None and (reset := tables.losses.reset()) is not None:
                self._loop.call_soon_threadsafe(self._on_reset, reset)
        return results

    def _after_damage(self, group: Sequence[_Call], error: BaseException) -> list[_Answer]:
        """Set the file aside, start a new one, and write the group into that.

        Where no new one can be made (the disk is full), the next transaction tries again.
        """
        try:
            if self._connection is not None:
                self._connection.close()
            undelivered = None
            if self._tables is not None:
                tally = self._tables.tally
                self._versions = tally.version
                undelivered = tally.noted or Undelivered(count=tally.depth)
            self._connection = self._tables = None
            self._folder.set_aside(str(error), self._clock.now().wall, undelivered)
            results = self._transaction(group)
        except Exception as second:  # noqa: BLE001 - as above: a thread that ends is taken for a disk that does not answer
            return [_Answer(to=call.answer, error=self._known(second)) for call in group]
        return [_Answer(to=call.answer, result=result) for call, result in zip(group, results, strict=True)]

    def _known(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return translated(error, self._folder.file)
        if isinstance(error, OSError):
            return TemporaryError(f"The store {self._folder.file} can't be used: {error.strerror}.")
        return error


def _resolve(answers: Sequence[_Answer]) -> None:
    for answer in answers:
        if answer.to.done():
            continue  # whoever waited has gone; the work is done all the same
        if answer.error is None:
            answer.to.set_result(answer.result)
        else:
            answer.to.set_exception(answer.error)

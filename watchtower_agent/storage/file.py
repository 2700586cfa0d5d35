"""The store's file on disk: opened, checked, brought to the present schema, or set aside when it is damaged."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from watchtower_agent.errors import FatalError, PermanentError, TemporaryError, WatchtowerError
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.storage.gaps import Undelivered
from watchtower_agent.storage.salvage import Salvaged, salvage
from watchtower_agent.storage.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION
from watchtower_agent.storage.tables import RottenError, Tables

FILE_NAME = "store.db"
_PAGE = 4096
_SIDE_FILES = ("", "-wal", "-shm")
_SET_ASIDE_KEPT = 3
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG})
_PASSING = {
    sqlite3.SQLITE_FULL: "the disk, or the room the store may take, is full; free some space there",
    sqlite3.SQLITE_IOERR: "the disk reports an error; look at the kernel's log",
    sqlite3.SQLITE_READONLY: "it can't be written (a file system that went read-only?); look at the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "a file beside it can't be made; check the folder's owner, rights and free space",
    sqlite3.SQLITE_BUSY: "another program holds it locked; end that program",
    sqlite3.SQLITE_LOCKED: "another program holds it locked; end that program",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}


def damaged(error: BaseException) -> bool:
    """Whether SQLite says that the file's content is broken."""
    if isinstance(error, (RottenError, UnicodeDecodeError)):  # the latter while SQLite's own message is read
        return True
    return isinstance(error, sqlite3.DatabaseError) and (_code(error) in _DAMAGED or "decode to UTF-8" in str(error))


def translated(error: sqlite3.Error, path: Path) -> WatchtowerError:
    """The error in our own words."""
    remedy = _PASSING.get(_code(error))
    if remedy is None:
        return PermanentError(f"The store {path} refused a write: {error}")
    return TemporaryError(f"The store {path} can't be used now ({error}): {remedy}. Nothing was half-written.")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte; the rest tells which kind of it


class StoreFolder:
    """The folder that holds the store, locked for this process.

    Args:
        path: Made with mode 0700 where it is missing.
        max_bytes: The file never grows beyond this; a write that would fails as on a full disk.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.file = path / FILE_NAME
        self._max_pages = max(64, max_bytes // _PAGE)
        self._lock = -1
        self._damage = ""
        """What is wrong with the file, until a new one is there."""
        self._undelivered: Undelivered | None = None
        """What the agent, which ran, knew of it."""

    def lock(self) -> None:
        """Take the folder for this process.

        Raises:
            FatalError: Another agent has it, or it can't be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FatalError(
                f"The state folder {self.path} can't be used ({error.strerror}). "
                "Make it and give it to the agent's user, or name another one in state_dir."
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            self.unlock()
            raise FatalError(
                f"Another watchtower-agent (process {owner or 'unknown'}) uses the state folder {self.path}. "
                "One agent per host is enough; a second one needs a state_dir of its own."
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def open(self, now: float) -> sqlite3.Connection:
        """Open the store, or start a new one.

        Args:
            now: Seconds since the epoch, for the name of a file that is set aside.

        Returns:
            The connection. When a store was set aside, the new one's `reset` says why.

        Raises:
            FatalError: The file comes from a newer agent, or can't be opened.
            TemporaryError: The disk is full or failing.
        """
        try:
            if not self.file.exists():
                self._finish()
            elif problem := self._damage or self._problem():
                self.set_aside(problem, now)
            connection = self._connect()
            self._migrate(connection)
        except sqlite3.Error as error:
            raise self._opening_error(error) from None
        except OSError as error:
            raise TemporaryError(f"The store {self.file} can't be opened: {error.strerror}.") from None
        return connection

    def set_aside(self, problem: str, now: float, undelivered: Undelivered | None = None) -> None:
        """Move a damaged store out of the way and start a new one in its place, whose `reset` says so.

        Args:
            problem: What SQLite says of it.
            now: Seconds since the epoch.
            undelivered: What the agent, which runs, knows of the outbox. None: what the file says of it counts.

        Raises:
            sqlite3.Error, OSError: The disk is full or failing; the damaged one is there still, for the next `open`.
        """
        self._damage, self._undelivered = problem, undelivered or self._undelivered
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path / f"{FILE_NAME}.corrupt-{stamp}-{secrets.token_hex(2)}"
        why = f"The store was damaged ({problem}); it was set aside as {aside.name} and a new one was started."
        try:
            self._make(why, self.file)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_FULL:
                raise
            self._make(why)  # there may be room for an empty one: to heal goes before what was not delivered
        for side in _SIDE_FILES:
            source = Path(f"{self.file}{side}")
            if side and source.exists() and (side == "-shm" or not source.stat().st_size):
                source.unlink()  # reading made it; nothing is in it
            elif source.exists():
                source.rename(f"{aside}{side}")
        self._put_in_place()
        self._damage, self._undelivered = "", None
        self._forget_old_ones()

    def _forget_old_ones(self) -> None:
        for old in self._set_aside_files()[:-_SET_ASIDE_KEPT]:
            for side in _SIDE_FILES:
                Path(f"{old}{side}").unlink(missing_ok=True)

    def _set_aside_files(self) -> list[Path]:
        found = self.path.glob(f"{FILE_NAME}.corrupt-*")
        return sorted(path for path in found if not path.name.endswith(_SIDE_FILES[1:]))

    def _finish(self) -> None:
        """Start a store where there is none, or finish what a crash interrupted."""
        if not self._set_aside_files():
            self._make("")
        elif not self._is_made():  # by an earlier version: the loss is still to be told
            self._make("An earlier store was damaged and set aside; a new one was started.")
        self._put_in_place()

    @property
    def _fresh(self) -> Path:
        """A new store has this name until it is whole: an empty file under the real name is always a truncated one."""
        return self.path / f"{FILE_NAME}.new"

    def _is_made(self) -> bool:
        """Whether a new one is whole: all of it is one transaction, which sets its version."""
        if not self._fresh.exists():
            return False
        try:
            with closing(sqlite3.connect(self._fresh, isolation_level=None)) as connection:
                return bool(connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if damaged(error):
                return False
            raise

    def _make(self, why: str, wreck: Path | None = None) -> None:
        """Make a new store, with what can be read of a damaged one."""
        for side in (*_SIDE_FILES, "-journal"):
            Path(f"{self._fresh}{side}").unlink(missing_ok=True)
        os.close(os.open(self._fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self._fresh, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("BEGIN IMMEDIATE")
            self._apply(connection, 0)
            connection.execute("INSERT INTO meta VALUES ('install_id', ?)", (secrets.token_hex(8),))
            if why:
                salvaged = Salvaged() if wreck is None else salvage(wreck, connection)
                tables = Tables(connection, max_size=0)
                tables.losses.write_reset(_reset(why, salvaged, self._undelivered))
                tables.note()
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _put_in_place(self) -> None:
        self._fresh.rename(self.file)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _problem(self) -> str:
        """What is wrong with the file's content; empty when it is sound."""
        if self.file.stat().st_size == 0:
            return "the file was empty"
        connection = sqlite3.connect(self.file, isolation_level=None)
        try:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                return str(answer).splitlines()[-1]
            ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if ours and version == SCHEMA_VERSION:
                Tables(connection, max_size=0).read_all()
        except (RottenError, ValueError, TypeError) as error:  # UnicodeDecodeError, of SQLite's message, is one
            return str(error)
        except sqlite3.DatabaseError as error:
            # What is asked is always right, so an error of SQLite's general kind is one of the file's content.
            if damaged(error) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
                return str(error)
            raise
        finally:
            connection.close()
        return "" if ours and version >= 1 else "it is not a store of this agent"

    def _connect(self) -> sqlite3.Connection:
        if stat.S_IMODE(self.file.stat().st_mode) != 0o600:  # noqa: PLR2004 - a file mode says it best as a number
            self.file.chmod(0o600)
        connection = sqlite3.connect(self.file, isolation_level=None, timeout=1.0)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # the WAL is on the disk before a commit returns: survives power loss
            "journal_size_limit = 16777216",
            "temp_store = MEMORY",
            "cache_size = -256",  # KiB; what is read again is read from the page cache of the kernel
            f"max_page_count = {self._max_pages}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            connection.close()
            raise FatalError(
                f"The store {self.file} was written by a newer watchtower-agent (its schema is {version}, this agent "
                f"knows up to {SCHEMA_VERSION}). Install that version again, or move the file away to start anew. "
                "Nothing was changed."
            )
        if version < SCHEMA_VERSION:
            connection.execute("BEGIN IMMEDIATE")
            self._apply(connection, version)
            connection.execute("COMMIT")

    @staticmethod
    def _apply(connection: sqlite3.Connection, version: int) -> None:
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _opening_error(self, error: sqlite3.Error) -> WatchtowerError:
        if _code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
            return FatalError(
                f"The store {self.file} can't be opened ({error}). "
                "Give the folder and the file to the agent's user, or name another folder in state_dir."
            )
        return translated(error, self.file)


def _reset(why: str, salvaged: Salvaged, known: Undelivered | None) -> StoreReset:
    """What is to be told of it.

    Args:
        why: What was wrong.
        salvaged: What could be read.
        known: What the agent knew of the outbox, where it ran. Where it did not, and the cursor can't be read, nobody
            knows what the engine told since: no count is right then.
    """
    events = f"{salvaged.events} undelivered event{'' if salvaged.events == 1 else 's'}"
    if salvaged.memory:
        why += f" All else that it held was read back, and {events}."
    elif salvaged.events:
        why += f" Of what it held, {events} were read back."
    undelivered = known or (salvaged.undelivered if salvaged.memory else None)
    if undelivered is None:
        return StoreReset(why=why)
    lost = max(0, undelivered.count - salvaged.events)
    reset = StoreReset(why=why, count=lost, since=undelivered.since, until=undelivered.until)
    # While the agent runs, the one before is about to be told.
    return reset if known is not None or salvaged.untold is None else reset.after(salvaged.untold)

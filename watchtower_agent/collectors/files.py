"""Files of the kernel that are read again and again: opened once, read with pread."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable

from watchtower_agent.errors import AbsentError, FatalError, PermanentError

NUMBER = 64
"""Bytes enough for a file of one or two numbers."""
TABLE = 4096
"""Bytes enough for `memory.stat` and `/proc/meminfo`."""
RESERVE = 256
"""Descriptors left for the agent's other work: engine, broker, store, control socket."""
FEWEST = 12
"""Descriptors, beside those that are open at the start, without which the agent fails at whatever it opens last."""
RAISE_IT = "Raise it (systemd: LimitNOFILE=65536, docker run: --ulimit nofile=65536)."

Parse = Callable[[bytes], int]
"""Finds the number in what a file says. Raises ValueError where there is none."""

_GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.ESTALE})


class UnreadableError(PermanentError):
    """A file that should be readable is not.

    Attributes:
        number: The operating system's error number, 0 for none.
    """

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class MissingError(UnreadableError):
    """A file that is not there though its directory is: the kernel or the hierarchy does not offer it."""


def raise_descriptor_limit() -> int:
    """Raise RLIMIT_NOFILE to its hard limit, as far as the kernel lets us.

    Returns:
        How many files this process may have open from now on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = soft  # refused by a sandbox: we go on with what there is
    return 1 << 30 if hard == resource.RLIM_INFINITY else hard


def demand_descriptors() -> None:
    """See to it that the agent may open what it can't do without.

    Raises:
        FatalError: It may not.
    """
    limit, used = raise_descriptor_limit(), _descriptors_in_use()
    if limit - used < FEWEST:
        raise FatalError(
            f"The limit on open files is {limit}, and {used} are open already: the agent can't work with fewer than "
            f"{FEWEST} more, and has use for another 15 or so for each container. {RAISE_IT}"
        )


def _descriptors_in_use() -> int:
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - one of them is the listing's own
    except OSError:
        return 3  # the standard ones


class Descriptors:
    """How many files may be kept open, and how many are.

    Attributes:
        limit: Files that may be kept open.
        kept: Files that are.
        changes: Grows with each file that is opened or let go of: until then, descriptors stand for the same files.
        refused: Files read without being kept since `refused` was last set to 0.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept = 0
        self.changes = 0
        self.refused = 0

    @classmethod
    def under(cls, rlimit: int) -> Descriptors:
        """What RLIMIT_NOFILE leaves for kept files."""
        return cls(max(0, rlimit - RESERVE))


class KeptFile:
    """One file, opened at its first reading and kept: 0.8 µs a reading instead of 15.

    Attributes:
        path: Where it is.
        descriptor: Of the open file, -1 while it is not kept open.
    """

    __slots__ = ("_descriptors", "_size", "descriptor", "path")

    def __init__(self, path: str, size: int, descriptors: Descriptors) -> None:
        self.path = path
        self._size = size
        self._descriptors = descriptors
        self.descriptor = -1

    def read(self) -> bytes:
        """What it says now.

        Raises:
            AbsentError: The container it belongs to has ended.
            MissingError: The kernel does not offer this file here.
            UnreadableError: It can't be read for any other reason; the text says which.
        """
        if self.descriptor < 0:
            return self._read_first()
        try:
            return os.pread(self.descriptor, self._size, 0)
        except OSError as error:
            self.close()
            raise translated(self.path, error) from error

    def close(self) -> None:
        """Let go of the descriptor. A later reading opens it again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._descriptors.kept -= 1
            self._descriptors.changes += 1

    def _read_first(self) -> bytes:
        if self._descriptors.kept >= self._descriptors.limit:
            self._descriptors.refused += 1
            return read_once(self.path, self._size)
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self._descriptors.kept += 1
            self._descriptors.changes += 1
            return os.pread(self.descriptor, self._size, 0)
        except OSError as error:
            self.close()
            raise translated(self.path, error) from error


class NumberFile(KeptFile):
    """A file in which one number is looked for.

    Args:
        path: Where it is.
        size: Bytes enough to find it.
        descriptors: Counts what is kept open.
        parse: Finds the number in what the file says; raises ValueError where there is none.
    """

    __slots__ = ("parse", "size")

    def __init__(self, path: str, size: int, descriptors: Descriptors, parse: Parse = int) -> None:
        super().__init__(path, size, descriptors)
        self.size = size
        self.parse = parse

    def number(self) -> int | None:
        """What it says now, None when that is no number. Raises as `read` does."""
        data = self.read()
        try:
            return self.parse(data)
        except ValueError:
            return None


def read_once(path: str, size: int) -> bytes:
    """Open, read and close a file that is read too seldom to be kept. Raises as `KeptFile.read` does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, 0)
        finally:
            os.close(fd)
    except OSError as error:
        raise translated(path, error) from error


def translated(path: str, error: OSError) -> PermanentError:
    """The agent's own error for one of the operating system."""
    if error.errno not in _GONE:
        return UnreadableError(f"{path} can't be read: {error.strerror}", error.errno or 0)
    if error.errno == errno.ENOENT and is_directory(parent_of(path)):
        return MissingError(f"{path} does not exist", errno.ENOENT)
    return AbsentError(f"{path} is gone")


def is_directory(path: str) -> bool:
    """Whether there is such a directory. Asked a thousand times at the start: pathlib would double the price."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - see above
    except (OSError, ValueError):  # no file can have such a name: a zero byte, half a character
        return False


def parent_of(path: str) -> str:
    """The directory that contains it."""
    return path.rpartition("/")[0]

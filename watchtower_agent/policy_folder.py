"""The policy folder: read at start and within 2 s of a change, taken whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from watchtower_agent.model.observation import PoliciesRejected
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.files.load import digest_of, load_policies
from watchtower_agent.policies.files.yaml_reader import LARGEST_FILE
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.problem import Problem
from watchtower_agent.ports.clock import Clock

MOST_PROBLEMS: Final = 1000
"""Of which the agent speaks: in a file of 1 MiB can be a hundred thousand. `check` tells them all."""
POLL: Final = 1.5
"""Seconds between two looks: a change is in force within 2 s, reading included. Watching by inotify loses track of
replaced directories and symbolic links, as Kubernetes makes them."""

MOST_FILES: Final = 1000
LARGEST_FOLDER: Final = 16 * 1024 * 1024
"""Bytes of all files together."""

_SUFFIXES: Final = (".yaml", ".yml")
_READS: Final = 3
"""How often a folder that changes while it is read is read again at once."""

_Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCheck:
    """What a folder holds.

    Attributes:
        problems: Everything that is wrong with it.
        policies: How many policies it has, 0 when anything is wrong.
        files: How many files were read.
        warnings: What is doubtful about it, when nothing is wrong.
    """

    problems: tuple[Problem, ...]
    policies: int
    files: int
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    files: dict[str, bytes]
    problems: tuple[Problem, ...]
    signature: _Signature


def check_folder(path: Path, surroundings: Surroundings = UNTOLD, *, or_file: bool = True) -> FolderCheck:
    """Read and check a folder once, or one file of it, for `watchtower-agent check`.

    Args:
        path: The folder, or the file.
        surroundings: Where the policies are to work.
        or_file: The path may name one file. The agent itself reads a folder, nothing else.
    """
    named = path.suffix in _SUFFIXES and not os.path.isdir(path)  # noqa: PTH112 - pathlib's fails on odd names
    is_file = or_file and (named or os.path.isfile(path))  # noqa: PTH113 - likewise
    texts = _read_file(path) if is_file else _read(path)
    loaded = load_policies(texts.files, surroundings)
    problems = texts.problems + (() if isinstance(loaded, PolicySet) else loaded)
    return FolderCheck(
        problems=problems,
        policies=len(loaded.policies) if isinstance(loaded, PolicySet) and not problems else 0,
        files=len(texts.files),
        warnings=loaded.warnings if isinstance(loaded, PolicySet) and not problems else (),
    )


class PolicyFolder:
    """Watches the folder. What can't be taken leaves the last good set in force, and is reported once.

    Attributes:
        looked: Set once the folder was read for the first time and what came of it was reported.
        surroundings: Where the policies are to work; others count from the next time it is read.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        on_loaded: Callable[[PolicySet], None],
        on_rejected: Callable[[PoliciesRejected], None],
        surroundings: Surroundings = UNTOLD,
    ) -> None:
        """Watch nothing yet.

        Args:
            path: The folder; it need not exist yet, which is a problem to report.
            clock: For the time of loading.
            on_loaded: Called in the loop's thread with every set that comes into force, and again when a broken folder
                is back to what is in force.
            on_rejected: Called in the loop's thread with every state of the folder that can't be taken.
            surroundings: Where the policies are to work.
        """
        self.looked = asyncio.Event()
        self._path = path
        self._clock = clock
        self._on_loaded = on_loaded
        self._on_rejected = on_rejected
        self.surroundings = surroundings
        self._turn = asyncio.Lock()
        self._seen: _Signature | None = None
        self._loaded: PolicySet | None = None
        self._rejected: tuple[str, PoliciesRejected] | None = None

    async def run(self) -> None:
        """Look at the folder now and every 1.5 s, for ever."""
        await self._look()
        changed, over = asyncio.Event(), threading.Event()
        running = asyncio.get_running_loop()
        watch = threading.Thread(
            target=self._watch,
            args=(over, lambda: running.call_soon_threadsafe(changed.set)),
            name="policy-folder",
            daemon=True,
        )
        watch.start()
        try:
            while True:
                await changed.wait()
                changed.clear()
                await self._look()
        finally:
            over.set()

    def _watch(self, over: threading.Event, tell: Callable[[], object]) -> None:
        """In a thread of its own: a disk that hangs holds up nothing, and the loop is woken only for a change."""
        while not over.wait(POLL):
            try:
                changed = _signature(self._path) != self._seen
            except Exception:  # noqa: BLE001 - whatever it is, the task that looks meets it, too, and can tell
                changed = True
            if changed and not over.is_set():
                with contextlib.suppress(RuntimeError):  # the loop was closed: nobody needs it any more
                    tell()

    async def reload(self) -> PolicySet | PoliciesRejected:
        """Read the folder now, changed or not, and say what came of it. What is not new is not reported again."""
        async with self._turn:
            return await self._take()

    async def _look(self) -> None:
        async with self._turn:
            if self._seen is None or await asyncio.to_thread(_signature, self._path) != self._seen:
                await self._take()

    async def _take(self) -> PolicySet | PoliciesRejected:
        # In a thread: a slow disk or a large folder must not hold up the loop.
        texts, digest, outcome = await asyncio.to_thread(_load, self._path, self.surroundings)
        self._seen = texts.signature
        taken = self._accept(outcome) if isinstance(outcome, PolicySet) else self._reject(digest, outcome)
        self.looked.set()
        return taken

    def _accept(self, policies: PolicySet) -> PolicySet:
        recovered, self._rejected = self._rejected is not None, None
        known = self._loaded
        if known is None or (known.digest, known.warnings) != (policies.digest, policies.warnings):
            known = self._loaded = replace(policies, loaded_at=self._clock.now().wall)
        elif not recovered:
            return known
        self._on_loaded(known)
        return known

    def _reject(self, digest: str, problems: tuple[Problem, ...]) -> PoliciesRejected:
        lines = tuple(map(str, problems[:MOST_PROBLEMS]))
        if self._rejected is not None:
            last_digest, last = self._rejected
            if (last_digest, last.problems) == (digest, lines):
                return last
        rejected = PoliciesRejected(problems=lines, at=self._clock.now().wall, more=len(problems) - len(lines))
        self._rejected = (digest, rejected)
        self._on_rejected(rejected)
        return rejected


def _load(path: Path, surroundings: Surroundings) -> tuple[_Texts, str, PolicySet | tuple[Problem, ...]]:
    texts = _read(path)
    outcome = load_policies(texts.files, surroundings)
    if texts.problems:
        outcome = texts.problems + (() if isinstance(outcome, PolicySet) else outcome)
    return texts, digest_of(texts.files), outcome


def _read(path: Path) -> _Texts:
    """All files of the folder. One that changes meanwhile is read again: half a save is not a policy."""
    for _ in range(_READS - 1):
        texts = _read_once(path)
        if texts.signature == _signature(path):
            return texts
    return _read_once(path)


def _read_once(path: Path) -> _Texts:
    signature = _signature(path)
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    try:
        names = _names(path)
        if len(names) > MOST_FILES:
            problems.append(
                _problem(str(path), f"the policy folder has {len(names)} files", f"{MOST_FILES} is the most")
            )
    except OSError as error:
        names = []
        problems.append(_folder_problem(path, error))
    size = 0
    for name in names[:MOST_FILES]:
        try:
            content = _content(path / name)
        except OSError as error:
            problems.append(_unreadable(name, error))
            continue
        size += len(content)
        if size > LARGEST_FOLDER:
            problems.append(_problem(name, "the policy files are larger than 16 MiB together", "remove some of them"))
            break
        files[name] = content
    return _Texts(files=files, problems=tuple(problems), signature=signature)


def _read_file(path: Path) -> _Texts:
    try:
        return _Texts(files={str(path): _content(path)}, problems=(), signature=())
    except OSError as error:
        return _Texts(files={}, problems=(_unreadable(str(path), error),), signature=())


def _unreadable(name: str, error: OSError) -> Problem:
    match error:
        case FileNotFoundError():
            return _problem(name, "there is no such file, or it is a link to none", "write it, or remove the link")
        case PermissionError():
            return _problem(name, "the file may not be read", "let the agent's user read it, or remove it")
    if error.errno == errno.ELOOP:
        return _problem(name, "the file is a link that leads back to itself", "put a file in its place, or remove it")
    return _problem(name, f"the file can't be read: {_words(error)}", "put a readable file in its place, or remove it")


def _folder_problem(path: Path, error: OSError) -> Problem:
    elsewhere = "name another under policies: in agent.yaml"
    match error:
        case FileNotFoundError():
            return _problem(str(path), "there is no such policy folder", f"create it, or {elsewhere}")
        case NotADirectoryError():
            return _problem(str(path), "this is not a folder", "name the folder that holds the policy files")
        case PermissionError():
            return _problem(
                str(path), "the policy folder may not be read", f"let the agent's user read it, or {elsewhere}"
            )
    return _problem(str(path), f"the policy folder can't be read: {_words(error)}", elsewhere)


def _names(path: Path) -> list[str]:
    """The files that are policies: `*.yaml` and `*.yml`, nothing hidden, nothing that editors leave behind."""
    with os.scandir(path) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.endswith(_SUFFIXES) and not entry.name.startswith((".", "#")) and not _is_folder(entry)
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere is no folder: reading it as a file tells what is wrong."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _content(path: Path) -> bytes:
    """At most one byte more than a file may have. Never waits, not even for a pipe that bears a file's name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        return file.read(LARGEST_FILE + 1)


def _signature(path: Path) -> _Signature:
    """What changes whenever a file is written, replaced, added or removed; a symbolic link counts as its target."""
    try:
        names = _names(path)
    except OSError as error:
        return (str(error),)
    return tuple((name, *_stat(f"{path}/{name}")) for name in names[: MOST_FILES + 1])


def _stat(path: str) -> tuple[object, ...]:
    try:
        facts = os.stat(path)  # noqa: PTH116 - asked for ever: pathlib would double the price
    except OSError as error:
        return (error.errno,)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode


def _problem(file: str, message: str, remedy: str) -> Problem:
    return Problem(file=file, line=None, column=None, path="", message=message, remedy=remedy)


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

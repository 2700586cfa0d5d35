"""What is wrong in a policy file, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from watchtower_agent.model.values import dataclass

Path = tuple[str | int, ...]
"""Keys and indexes from a file's root to a value."""

_LONGEST_SHOWN: Final = 60


class WrongValueError(ValueError):
    """A value that can't be used. Its text is one line.

    Attributes:
        message: What is wrong.
        remedy: What would be right.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}, {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake, or what is well-formed and doubtful. Its text is one line.

    Attributes:
        file: Name of the file, or the folder's path.
        line: From 1; None for what has no place inside: a folder, a file that can't be read.
        column: From 1, in characters; None with the line.
        path: Keys that lead there, as in `policies[0].then.restart`; empty when the file can't be read as YAML.
        message: What is wrong.
        remedy: What would be right.
        warning: The policy is taken all the same.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        path = f"{self.path}: " if self.path else ""
        kind = "warning: " if self.warning else ""
        return _one_line(f"{place}: {kind}{path}{self.message}, {self.remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A mistake by its path; its place is looked up in the file's nodes.

    Attributes:
        path: Keys and indexes from the file's root.
        message: What is wrong.
        remedy: What would be right.
        at_key: The key itself is wrong, not its value.
        offset: Characters into the value, for a mistake inside a text.
    """

    path: Path
    message: str
    remedy: str
    at_key: bool = False
    offset: int = 0


def shown(text: str) -> str:
    """The text in quotes, fit for a message: short, on one line, without control characters."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return '"' + _one_line(cut.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def joined(path: Path) -> str:
    """A path as people write it: `policies[0].select.labels`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        plain = step if step.replace("_", "").isalnum() and len(step) <= _LONGEST_SHOWN else shown(step)
        text += f".{plain}" if text else plain
    return text


_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "action": ("then",),
        "actions": ("then",),
        "age": ("unused_for", "finished_for", "unattached_for"),
        "alert": ("notify",),
        "audit": ("shadow", "observe"),
        "averageutilization": ("target",),
        "averagevalue": ("target_per_replica", "target"),
        "builder": ("build_cache",),
        "cache": ("build_cache",),
        "condition": ("when",),
        "container": ("name", "select"),
        "containers": ("name", "select"),
        "cooldown_period": ("cooldown",),
        "cpus": ("cpu",),
        "crash": ("die",),
        "cron": ("schedule",),
        "disabled": ("off", "mode"),
        "delay": ("for",),
        "do": ("then",),
        "dry-run": ("shadow", "observe"),
        "dry_run": ("shadow",),
        "dryrun": ("shadow",),
        "duration": ("for",),
        "email": ("notify",),
        "enabled": ("enforce", "mode"),
        "error": ("critical",),
        "event": ("on",),
        "events": ("on",),
        "every": ("schedule",),
        "exclude": ("not", "keep"),
        "exit": ("die",),
        "expr": ("when",),
        "fatal": ("critical",),
        "filter": ("select", "where", "only"),
        "healthy": ("health_status",),
        "high": ("critical",),
        "if": ("when",),
        "ignore": ("keep", "not"),
        "include": ("only", "select"),
        "keep_firing_for": ("keep_for",),
        "keep_last": ("keep_newest",),
        "interval": ("every",),
        "labels": ("group",),
        "level": ("severity",),
        "low": ("info",),
        "mail": ("notify",),
        "maintenance": ("windows",),
        "match": ("select",),
        "matches": ("select",),
        "maxreplicas": ("max",),
        "max_replicas": ("max",),
        "mem": ("memory",),
        "minreplicas": ("min",),
        "min_replicas": ("min",),
        "observe": ("shadow",),
        "older_than": ("unused_for", "finished_for", "unattached_for"),
        "only_dangling": ("dangling",),
        "project": ("compose",),
        "prometheus": ("http",),
        "prune": (),
        "query": ("http",),
        "reboot": ("restart",),
        "resize": (),
        "scale": (),
        "scaledown": ("down",),
        "scale_down": ("down",),
        "scaleup": ("up",),
        "scale_up": ("up",),
        "service": ("compose",),
        "shadow": ("observe",),
        "slack": ("notify",),
        "stopped": ("exited",),
        "target": ("select",),
        "targets": ("select",),
        "text": ("message",),
        "threshold": ("target_per_replica", "target"),
        "time_zone": ("timezone",),
        "topic": ("mqtt",),
        "tz": ("timezone",),
        "trigger": ("on", "when"),
        "unhealthy": ("health_status",),
        "until": ("unused_for", "finished_for", "unattached_for"),
        "untagged": ("dangling",),
        "up": ("running",),
        "url": ("http",),
        "wait": ("for",),
        "webhook": ("notify",),
        "window": ("windows",),
    }
)
"""What other tools call it, or people: no spelling is near, and yet one thing is meant. Of (), nothing is."""


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most likely meant: another tool's word for it, or the nearest in spelling."""
    words = tuple(known)
    elsewhere = _ELSEWHERE.get(word.lower())
    if elsewhere == ():
        return None
    return next((each for each in elsewhere or () if each in words), None) or nearest(word, words)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the one that is meant, or all of them when that can't be told."""
    words = tuple(known)
    near = meant(word, words)
    if near is not None:
        return f"did you mean {near}?"
    return one_of(words)


def one_of(known: Iterable[str]) -> str:
    """The remedy that lists what there is."""
    words = tuple(known)
    if len(words) == 1:
        return f"the only one is {words[0]}"
    return f"choose one of {', '.join(words)}"


@lru_cache(maxsize=1024)
def nearest(word: str, known: tuple[str, ...], cutoff: float = 0.6) -> str | None:
    """The known word most like this one, by difflib's ratio; None when none is near."""
    close = difflib.get_close_matches(word[:_LONGEST_SHOWN].lower(), known, n=1, cutoff=cutoff)
    return close[0] if close else None


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)

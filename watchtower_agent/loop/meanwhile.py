"""What changed while the engine was out of reach, gathered until its containers are listed anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from watchtower_agent.model.engine_event import EXEC_ACTIONS, EngineEvent, EventKind, Origin
from watchtower_agent.model.observation import EngineFound, GapObserved
from watchtower_agent.model.values import dataclass

NAMES_TOLD = 20
"""Names per kind of change that are told; the count tells of all."""

_LONGEST_NAME = 256
_NAMES_SAID = 3
_CHANGES: Mapping[str, str] = {
    "create": "created",
    "start": "started",
    "die": "ended",
    "rename": "renamed",
    "destroy": "removed",
}


@dataclass(slots=True)
class Meanwhile:
    """The engine was found; what happened before is still being learned, from its memory and from a listing.

    Attributes:
        found: When and which, newest.
        first: On the first start ever there is nothing to compare with.
        restarted: The daemon was restarted since it was last listed.
        replayed: Events that the engine still had; those of execs are not counted.
        concluded: Synthetic events: differences between the listing and what was known.
        gap: Causes, begin and end (seconds since the epoch) of the time in which events may have been lost.
    """

    found: EngineFound
    first: bool
    restarted: bool = False
    replayed: int = 0
    concluded: int = 0
    gap: tuple[frozenset[str], float, float] | None = None
    _changed: dict[str, dict[str, str]] = field(default_factory=lambda: {word: {} for word in _CHANGES.values()})
    """Kind of change -> container id -> its name then."""

    def found_again(self, found: EngineFound) -> None:
        """It was found, at first or again before it could be listed."""
        self.found = found
        self.restarted = self.restarted or found.restarted

    def may_lack(self, seen: GapObserved) -> None:
        """Events may have been lost meanwhile, too."""
        causes, since, until = self.gap or (frozenset(), seen.since, seen.until)
        self.gap = causes | {seen.reason}, min(since, seen.since), max(until, seen.until)

    def take(self, event: EngineEvent) -> None:
        """Note an event that nobody heard when it happened; those that are heard now are none of what happened then."""
        if event.origin is Origin.SYNTHETIC:
            self.concluded += 1
        elif event.origin is Origin.REPLAY and event.action not in EXEC_ACTIONS:
            self.replayed += 1
        else:
            return
        word = _CHANGES.get(event.action)
        if word is not None and event.kind is EventKind.CONTAINER:
            self._changed[word][event.actor_id] = event.name[:_LONGEST_NAME]

    def data(self) -> dict[str, object]:
        """The facts: of every kind of change how many containers, and the names of the first of them."""
        said: dict[str, object] = {"restarted": self.restarted}
        if not self.first:
            said["changes"] = {
                word: {"count": len(names), "names": list(names.values())[:NAMES_TOLD]}
                for word, names in self._changed.items()
            }
            said["replayed_events"], said["synthetic_events"] = self.replayed, self.concluded
        if self.gap is not None:
            causes, since, until = self.gap
            said["gap"] = {"causes": sorted(causes), "since": since, "until": until}
        return said

    def sentence(self) -> str:
        """The same for people; empty on the first start ever."""
        if self.first:
            return ""
        parts = [f"{word}: {_few(list(names.values()))}" for word, names in self._changed.items() if names]
        changed = f"meanwhile {'; '.join(parts)}" if parts else "no container came or went meanwhile"
        return f"{changed}; events may have been lost" if self.gap else changed


def _few(names: list[str]) -> str:
    more = len(names) - _NAMES_SAID
    return ", ".join(names[:_NAMES_SAID]) + (f" and {more} more" if more > 0 else "")

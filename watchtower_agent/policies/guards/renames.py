"""Which names containers had before, so that what was counted under those still counts. Pure.

All that guards count goes by name: a recreate changes nothing. A container that gets another name takes along what was
counted under the old one, and who gets the old name after it finds that there still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Final

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

MOST_NAMES: Final = 1024
"""Names of which it is remembered what they took over: a container may be renamed a thousand times a minute."""
MOST_SOURCES: Final = 32
"""Earlier names of one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A container has another name.

    Attributes:
        container_id: Which.
        old: Its name before.
        new: Its name now.
        earlier: Names from which the old one had taken over what is counted. What is known under one of them just as
            under the old one was only passing through, and is not kept there. Empty where another container is called
            like the old one.
    """

    container_id: str
    old: str
    new: str
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An earlier name, and what of it counts under the later one.

    Attributes:
        name: That name.
        container_id: Of the container that gave it up.
        until: When it did: what was done to that name by then counts, and what was begun by then.
        well: When whoever had that name had last been well for long enough by then; None: not that anybody knows.
    """

    name: str
    container_id: str
    until: Instant
    well: Instant | None = None


@dataclass(slots=True)
class Renames:
    """Those of the last day.

    Attributes:
        by: Name -> its earlier names, by name, the oldest first.
    """

    by: dict[str, dict[str, Source]] = field(default_factory=dict)

    def of(self, name: str) -> Mapping[str, Source]:
        """The earlier names of one, by name."""
        return self.by.get(name, {})

    def take(self, rename: Rename, well: Instant | None, now: Instant, *, own: bool) -> list[str]:
        """A name is given up for another. Gives the names whose earlier names have changed.

        Args:
            rename: Which for which.
            well: When whoever had the old name had last been well for long enough.
            now: The present.
            own: Whether anything is known under the old name itself.
        """
        sources = [_passed_on(source, well) for source in self.of(rename.old).values()]
        if own:
            sources.append(Source(name=rename.old, container_id=rename.container_id, until=now, well=well))
        known = self.by.pop(rename.new, {})
        for source in sources:
            if source.name != rename.new:  # what was done under its own name counts anyway
                known[source.name] = _wider(known.pop(source.name, None), source)
        if known:
            self.by[rename.new] = dict(list(known.items())[-MOST_SOURCES:])
        if len(self.by) <= MOST_NAMES:
            return [rename.new]
        oldest = next(iter(self.by))
        del self.by[oldest]
        return [rename.new, oldest]

    def drop(self, name: str) -> list[str]:
        """The name was only passing through. Gives the names whose earlier names have changed."""
        return [name] if self.by.pop(name, None) is not None else []

    def forget(self, now: Instant, after: float) -> list[str]:
        """Forget what was given up more than so many seconds ago. Gives the names whose earlier names have changed."""
        changed = []
        for name, sources in list(self.by.items()):
            left = {each: kept for each, kept in sources.items() if now.monotonic - kept.until.monotonic <= after}
            if len(left) < len(sources):
                self.by[name] = left
                changed.append(name)
            if not left:
                del self.by[name]
        return changed

    def stored(self, name: str) -> dict[str, object] | None:
        """The earlier names of one as a JSON object; None when it has none."""
        sources = self.by.get(name)
        return {"sources": [_stored(each) for each in sources.values()]} if sources else None

    def resume(self, records: Mapping[str, Mapping[str, Any]], carried: Callable[[Instant], Instant]) -> None:
        """Take in what an earlier run had stored.

        Args:
            records: Name -> what `stored` gave of it.
            carried: Brings a moment of that run to the clocks of this one.
        """
        for name, stored in records.items():
            try:
                sources = [_restored(each, carried) for each in stored["sources"]]
            except (KeyError, TypeError, ValueError):
                continue
            self.by[name] = {each.name: each for each in sources[-MOST_SOURCES:]}


def _passed_on(source: Source, well: Instant | None) -> Source:
    """Of an earlier name of a name that is given up: who had that may have been well since it was called so."""
    if well is None or well.monotonic <= source.until.monotonic:
        return source
    return replace(source, well=well)


def _wider(known: Source | None, source: Source) -> Source:
    """One name, given up twice: by either."""
    if known is None:
        return source
    newer = max(known, source, key=lambda each: each.until.monotonic)
    wells = [each.well for each in (known, source) if each.well is not None]
    both = len(wells) == 2  # noqa: PLR2004 - of the two
    return replace(newer, well=min(wells, key=lambda well: well.monotonic) if both else None)


def _stored(source: Source) -> dict[str, object]:
    return {
        "name": source.name,
        "container_id": source.container_id,
        "until": source.until.stored(),
        "well": None if source.well is None else source.well.stored(),
    }


def _restored(stored: Mapping[str, Any], carried: Callable[[Instant], Instant]) -> Source:
    until = Instant.restored(stored["until"])
    well = Instant.restored(stored["well"])
    if until is None:
        raise ValueError("this is no moment")
    return Source(
        name=str(stored["name"]),
        container_id=str(stored["container_id"]),
        until=carried(until),
        well=None if well is None else carried(well),
    )

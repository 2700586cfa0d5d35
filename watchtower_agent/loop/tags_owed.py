"""Tags that images lost which were to be deleted and stayed after all, until they are back. Pure.

By its id the engine deletes only an image with one tag, so the others are taken one by one before. An agent that is
killed in between, or an engine, leaves the image without them: what it had is durable before the first is taken.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.removal import Fate, Kind, Removal, Removed, Retagged, Retagging
from watchtower_agent.model.values import dataclass

KIND: Final = "tags"
"""Of the records that the store keeps."""
_AGAIN: Final = 60.0
"""Seconds after which it is tried again where the engine did not give them back."""


@dataclass(slots=True)
class TagsOwed:
    """Images that may lack tags.

    Attributes:
        publication: Where effects of the step go.
    """

    publication: Publication
    _taking: dict[str, frozenset[str]] = field(default_factory=dict)
    """Id of an image that the engine was asked to delete -> its tags."""
    _owed: dict[str, frozenset[str]] = field(default_factory=dict)
    """Id of one that may have stayed without some -> what it had."""
    _since: dict[str, float] = field(default_factory=dict)
    """When that was found out, seconds since the epoch; not of what an earlier run began."""
    _asked: set[str] = field(default_factory=set)
    """Those that are being given back."""
    _due: float = -math.inf
    """From when on they may be asked for, monotonic."""

    def resume(self, resume: Resume) -> None:
        """Take in which images an earlier run was about to delete."""
        for image_id, known in resume.records.get(KIND, {}).items():
            tags = known.get("tags")
            if isinstance(tags, list):
                self._owed[image_id] = frozenset(tag for tag in tags if isinstance(tag, str))

    def is_due(self, now: Instant) -> bool:
        """Whether the engine has to be asked what its images are called."""
        return bool(self._owed.keys() - self._asked) and now.monotonic >= self._due

    def begins(self, removal: Removal) -> None:
        """The engine is about to be asked to delete it."""
        if removal.kind is Kind.IMAGE and len(removal.tags) > 1:
            self._taking[removal.id] = removal.tags
            self._write(removal.id, removal.tags | self._owed.get(removal.id, frozenset()))

    def removed(self, seen: Removed, now: Instant) -> None:
        """What came of it. Only where the engine gave no proper answer, tags may be missing."""
        image_id = seen.removal.id
        tags, owed = self._taking.pop(image_id, None), self._owed.get(image_id, frozenset())
        if tags is not None and seen.fate is Fate.FAILED:
            self._owed[image_id], self._since[image_id] = tags | owed, now.wall
        elif tags is not None:
            self._write(image_id, owed or None)  # an earlier deletion's: the listing tells whether it is there at all

    def listed(self, disk: DiskUsage, now: Instant) -> None:
        """What there is: an image that is there is given back what nobody has."""
        if not self._owed or now.monotonic < self._due:
            return
        self._due = now.monotonic + _AGAIN
        images = {image.id for image in disk.images}
        taken = {tag for image in disk.images for tag in image.tags}
        for image_id, tags in list(self._owed.items()):
            missing = tags - taken
            if image_id in self._asked or image_id in self._taking or disk.at < self._since.get(image_id, 0.0):
                continue  # the listing may be of before some were taken
            if image_id in images and missing:
                self._asked.add(image_id)
                self.publication.out.retaggings.append(Retagging(id=image_id, tags=missing))
            else:
                self._settled(image_id)

    def retagged(self, seen: Retagged) -> None:
        """What came of giving them back. Where that did not succeed the next listing has it tried again."""
        image_id = seen.retagging.id
        self._asked.discard(image_id)
        if not seen.reason and image_id in self._owed:
            self._settled(image_id)

    def remember_again(self) -> None:
        """The store was lost while running."""
        for image_id in self._owed.keys() | self._taking.keys():
            owed, taken = (known.get(image_id, frozenset()) for known in (self._owed, self._taking))
            self._write(image_id, owed | taken)

    def _settled(self, image_id: str) -> None:
        del self._owed[image_id]
        self._since.pop(image_id, None)
        self._write(image_id, None)

    def _write(self, image_id: str, tags: frozenset[str] | None) -> None:
        value = None if tags is None else {"tags": sorted(tags)}
        self.publication.out.records.append(Record(kind=KIND, key=image_id, value=value))

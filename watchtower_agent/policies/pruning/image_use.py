"""When each image was last used. What is not known counts as used now. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Set as AbstractSet
from typing import Final

from watchtower_agent.model.boots import Boots
from watchtower_agent.model.disk_usage import DiskUsage, Image
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import COMPOSE_PROJECT
from watchtower_agent.policies.pruning.project_names import MOST_PROJECTS, ProjectNames, projects_by_image
from watchtower_agent.policies.pruning.references import ID, is_part_of_id, normalised, repository
from watchtower_agent.policies.pruning.rows import Row, Rows, moment, row, words
from watchtower_agent.policies.pruning.use import Use

MOST_IMAGES: Final = 20_000
"""Images that are followed. More are never deleted: of them it is not known when they were used."""
MOST_NAMES: Final = 50_000
"""Names that are remembered with their images; of others the whole repository counts as used."""
MOST_OPEN: Final = 1_000
"""Names and repositories that wait for a listing. With more of them, every image counts as used."""
MOST_CANDIDATES: Final = 16
GAP: Final = "gap"
_IMAGE: Final = "image/"
_REPOSITORY: Final = "repository/"


class ImageUse:
    """The last use of each image, by what the engine told. Moments are seconds on the monotonic clock.

    Attributes:
        projects: What Compose projects call their images.
    """

    def __init__(self) -> None:
        self.projects = ProjectNames()
        self._images: dict[str, Use] = {}
        self._repositories: dict[str, Use] = {}
        self._names: dict[str, str] = {}
        # The names of the listing before: an event that is read late may mean one of then.
        self._names_before: dict[str, str] = {}
        # Names that changed hands since the last listing was asked for: when, and to which image, where that is known.
        self._moved: dict[str, tuple[float, str | None]] = {}
        # Images that may have got names since, nobody knows which: from a file, from a build.
        self._nameless: dict[str, float] = {}
        # Ids of the listing before; None before the first of this run.
        self._listed: AbstractSet[str] | None = None
        self._gap = -math.inf
        self._changed: set[str] = set()

    def __len__(self) -> int:
        """Entries of any sort: bounded."""
        open_questions = len(self._repositories) + len(self._moved) + len(self._nameless)
        return len(self._images) + len(self._names) + len(self._names_before) + open_questions + len(self.projects)

    @property
    def count(self) -> int:
        """Images of which it is known when they were last used."""
        return len(self._images)

    def oldest(self) -> float | None:
        """When the one was used that has not been for longest, by what is known; None: nothing is."""
        return max(min(use.at for use in self._images.values()), self._gap) if self._images else None

    @property
    def gap(self) -> float:
        """Until when uses may have been missed."""
        return self._gap

    def last(self, image: Image) -> float | None:
        """When it was last used; None: not known, which counts as now."""
        return self.known(image)[0]

    def known(self, image: Image) -> tuple[float | None, tuple[str, ...]]:
        """When it was last used, and the Compose projects that had containers of it or of what had its name before."""
        use = self._images.get(image.id)
        latest, projects = None if use is None else max(use.at, self._gap), self._had(image)
        for each in self._open_uses(image) if self._repositories else ():
            projects += each.projects
            if latest is not None:
                latest = max(latest, each.at)
        return latest, projects + self.projects.of(image)

    def used(self, image_id: str, at: float, project: str = "") -> None:
        """It was used, by its id."""
        known = self._images.get(image_id)
        if known is None and len(self._images) >= MOST_IMAGES:
            return
        self._images[image_id] = (known or Use(at=at)).with_use(at, (project,))
        self._changed.add(_IMAGE + image_id)

    def used_by_name(self, reference: str, at: float, project: str = "", *, old: bool = False) -> tuple[str, ...]:
        """An image was used, by whatever its user called it. Whichever it may have been, counts.

        Args:
            reference: A name, an id, the begin of one.
            at: The present.
            project: The Compose project whose container did so; empty for none.
            old: The name is one of before the newest listing: it may have been another image's then.

        Returns:
            Ids of those that it may have been: one where there is no doubt.
        """
        if not reference:
            self.missed(at)
            return ()
        image_id = self._resolved(reference, old=old)
        if image_id is not None:
            self.used(image_id, at, project)
            return (image_id,)
        candidates = self._candidates(reference)
        for each in candidates:
            self.used(each, at, project)
        self._used_repository(repository(reference), at, project)
        return tuple(candidates[:MOST_CANDIDATES])

    def moved(self, reference: str, at: float, image_id: str | None = None) -> None:
        """The name is another image's now: that one's, or an unknown one's."""
        name = normalised(reference)
        if len(self._moved) >= MOST_OPEN and name not in self._moved:
            self.missed(at)
        self._moved[name] = (at, image_id)

    def may_be_named(self, image_id: str, at: float) -> None:
        """The image may have got names, and taken them from others: until the next listing nobody knows."""
        if len(self._nameless) >= MOST_OPEN and image_id not in self._nameless:
            self.missed(at)
        self._nameless[image_id] = at

    def gone(self, image_id: str) -> None:
        """It was deleted."""
        if self._images.pop(image_id, None) is not None:
            self._changed.add(_IMAGE + image_id)

    def missed(self, at: float) -> None:
        """Uses may have been missed, and names have moved: every image counts as used now."""
        self._gap = max(self._gap, at)
        self._changed.add(GAP)
        self._changed.update(_REPOSITORY + each for each in self._repositories)
        # Whose image it was is as true as before, and waits for the next listing still.
        self._repositories = {each: use for each, use in self._repositories.items() if use.projects}
        for known in (self._names, self._names_before, self._moved, self._nameless):
            known.clear()

    def listed(self, disk: DiskUsage, asked: float, at: float) -> None:
        """Take a listing: what is in use is used now, what is new was first seen now, what is gone is forgotten.

        Args:
            disk: The listing. Events that were handled since it was asked for are newer than it.
            asked: When that was.
            at: The present.
        """
        held = projects_by_image(disk.containers)
        listed = {image.id: image for image in disk.images}
        for gone in [each for each, use in self._images.items() if each not in listed and use.at < asked]:
            self.gone(gone)
        for image in disk.images:
            known = self._images if self._listed is None else self._listed
            if image.parent in listed and image.id not in known:
                self.used(image.parent, at)  # by a build: no event tells what it took as its base
            if image.id in held or image.id not in self._images:
                self._used_by_all(image.id, at, held.get(image.id, ()))
            for use in self._open_uses(image) if self._repositories else ():
                self._used_by_all(image.id, use.at, use.projects)
        for each in [each for each, use in self._repositories.items() if use.at < asked]:
            del self._repositories[each]
            self._changed.add(_REPOSITORY + each)
        had = {image.id: projects for image in disk.images if (projects := self._had(image))}
        self.projects.listed(disk, had, asked)
        self._moved = {name: move for name, move in self._moved.items() if move[0] >= asked}
        self._nameless = {each: since for each, since in self._nameless.items() if since >= asked}
        self._names_before, self._names = self._names, dict(_names(disk.images))
        self._listed = frozenset(listed)

    def keys(self) -> Iterator[str]:
        """Of all rows that are stored."""
        yield GAP
        yield from (_IMAGE + each for each in self._images)
        yield from (_REPOSITORY + each for each in self._repositories)
        yield from self.projects.keys()

    def remember_again(self) -> None:
        """The store has lost everything."""
        self.projects.remember_again()
        self._changed.update(_IMAGE + each for each in self._images)
        self._changed.update(_REPOSITORY + each for each in self._repositories)
        if self._gap > -math.inf:
            self._changed.add(GAP)

    def projects_alone(self) -> ProjectNames:
        """What is still true after a time in which nobody looked: whose images they are, not when they were used."""
        for image_id, use in self._images.items():
            self.projects.mean(image_id, use.projects)
        for name, use in self._repositories.items():
            self.projects.mean(name, use.projects)
        return self.projects

    def rows(self, now: Instant) -> dict[str, Row | None]:
        """What changed since the last time, to be stored."""
        rows = self.projects.rows()
        for key in self._changed:
            use = self._by_key(key)
            if key == GAP:
                rows[key] = row(self._gap, now)
            elif use is None:
                rows[key] = None
            else:
                rows[key] = {**row(use.at, now), "projects": list(use.projects)}
        self._changed.clear()
        return rows

    def restore(self, rows: Rows, now: Instant, boots: Boots) -> None:
        """Take back what an earlier run stored. What can't be read is not known: a gap lasts until now then."""
        self.projects.restore(rows)
        if rows.get(GAP) is not None:
            at = moment(rows[GAP], now, boots)
            self._gap = now.monotonic if at is None else at
        for key, stored in rows.items():
            at = moment(stored, now, boots) if key.startswith((_IMAGE, _REPOSITORY)) else None
            if stored is None or at is None:
                continue
            projects = words(stored.get("projects"), MOST_PROJECTS)
            if projects is None:
                continue
            if key.startswith(_IMAGE) and len(self._images) < MOST_IMAGES:
                self._images[key.removeprefix(_IMAGE)] = Use(at=at, projects=projects)
            elif key.startswith(_REPOSITORY) and len(self._repositories) < MOST_OPEN:
                self._repositories[key.removeprefix(_REPOSITORY)] = Use(at=at, projects=projects)

    def _by_key(self, key: str) -> Use | None:
        if key.startswith(_IMAGE):
            return self._images.get(key.removeprefix(_IMAGE))
        return self._repositories.get(key.removeprefix(_REPOSITORY))

    def _had(self, image: Image) -> tuple[str, ...]:
        """Projects that had containers of this very image, or for which it was built."""
        use, built_for = self._images.get(image.id), image.labels.get(COMPOSE_PROJECT)
        had = () if use is None else use.projects
        return (*had, built_for) if built_for else had

    def _open_uses(self, image: Image) -> list[Use]:
        """Uses of whichever image of its repositories it was."""
        found: dict[str, Use] = {}
        for reference in (*image.tags, *image.digests):
            name = repository(reference)
            use = self._repositories.get(name)
            if use is not None:
                found[name] = use
        return list(found.values())

    def _used_by_all(self, image_id: str, at: float, projects: Iterable[str]) -> None:
        self.used(image_id, at)
        for project in projects:
            self.used(image_id, at, project)

    def _used_repository(self, name: str, at: float, project: str) -> None:
        known = self._repositories.get(name)
        if known is None and len(self._repositories) >= MOST_OPEN:
            self.missed(at)
            self.projects.mean(name, (project,), at)
            return
        self._repositories[name] = (known or Use(at=at)).with_use(at, (project,))
        self._changed.add(_REPOSITORY + name)

    def _resolved(self, reference: str, *, old: bool) -> str | None:
        """The one image that it can only mean; None: it may mean several, or one that is not known."""
        if reference.startswith(ID):
            return reference if reference in self._images else None
        if self._nameless or old:
            return None
        name = normalised(reference)
        if name in self._moved:
            return self._moved[name][1]
        if name in self._names:
            return self._names[name]
        found = self._begun(reference)
        return found[0] if len(found) == 1 else None

    def _candidates(self, reference: str) -> list[str]:
        """All that it may mean, as far as they are known."""
        name = normalised(reference)
        holders = (self._moved.get(name, (0.0, None))[1], self._names.get(name), self._names_before.get(name))
        named = [each for each in holders if each is not None]
        return [*named, *self._nameless, *self._begun(reference)]

    def _begun(self, reference: str) -> list[str]:
        """Ids that begin so."""
        begin = ID + reference.removeprefix(ID)
        return [each for each in self._images if each.startswith(begin)] if is_part_of_id(reference) else []


def _names(images: Iterable[Image]) -> Iterator[tuple[str, str]]:
    named = ((normalised(each), image.id) for image in images for each in (*image.tags, *image.digests))
    for _, pair in zip(range(MOST_NAMES), named, strict=False):
        yield pair

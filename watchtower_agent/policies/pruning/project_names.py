"""What Compose projects call their images: a name means something also when the image that had it is gone. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from watchtower_agent.model.disk_usage import DiskUsage, Image, KeptContainer
from watchtower_agent.model.labels import COMPOSE_PROJECT
from watchtower_agent.policies.pruning.references import ID, is_part_of_id, normalised, repository
from watchtower_agent.policies.pruning.rows import Row, Rows, words

MOST_KEYS: Final = 20_000
"""Names that are remembered. Of what more there is, repositories stand for their tags, and in the end all for all."""
MOST_PROJECTS: Final = 16
ANY_PROJECT: Final = "*"
"""Stands for more of them than are remembered."""
EVERY_IMAGE: Final = "*"
"""Stands for more names than are remembered."""
_PREFIX: Final = "project/"
_WORTH_IT: Final = 100
"""Tags of one repository that are let go for the repository: with fewer it would be done at every turn."""
_SHORTEST_ID: Final = 12
"""Digits of the shortest id that an engine puts in place of a name."""


class ProjectNames:
    """Key -> projects. A key is a name with its tag or digest, a repository of which no tag is known, or an image's id.

    It holds no times: what was remembered may lie for as long as it likes. Forgotten is what no project calls so of
    which there is anything on the host.
    """

    def __init__(self) -> None:
        self._by: dict[str, tuple[str, ...]] = {}
        # Keys of which an event told since the last listing was asked for: that knows nothing of their projects.
        self._said: dict[str, float] = {}
        self._changed: set[str] = set()

    def __len__(self) -> int:
        """Keys that are remembered: bounded."""
        return len(self._by)

    def called(self, reference: str, project: str, at: float) -> None:
        """A container of the project was made, by whatever the project calls its image.

        Args:
            reference: A name. What is an id says nothing of names.
            project: Empty for none.
            at: The present, monotonic.
        """
        is_id = is_part_of_id(reference) and len(reference.removeprefix(ID)) >= _SHORTEST_ID
        if reference and not is_id:
            self.mean(normalised(reference), (project,), at)

    def mean(self, key: str, projects: Iterable[str], at: float = -math.inf) -> None:
        """The projects need what the key means, now and later.

        Args:
            key: A name with its tag or digest, a repository, or an id.
            projects: Empty texts are none.
            at: When an event told so, monotonic; minus infinity: the next listing knows whether it is still true.
        """
        known = with_projects((), projects)
        if not known:
            return
        if key not in self._by and len(self._by) >= MOST_KEYS:
            key = self._in_room(key)
        if at > self._said.get(key, -math.inf):
            self._said[key] = at
        self._put(key, with_projects(self._by.get(key, ()), known))

    def of(self, image: Image) -> tuple[str, ...]:
        """Projects that mean this image, by what it is called at present."""
        if not self._by:
            return ()
        keys = [EVERY_IMAGE, image.id, *(repository(tag) for tag in image.tags)]
        keys += [normalised(each) for each in (*image.tags, *image.digests)]
        return tuple(project for key in keys for project in self._by.get(key, ()))

    def listed(self, disk: DiskUsage, uses: Mapping[str, tuple[str, ...]], asked: float) -> None:
        """Take a listing: what its containers' images are called, and which projects are not here any more.

        Args:
            disk: The listing.
            uses: Id of an image -> projects that are known to have had containers of it, or for which it was built.
            asked: When the listing was asked for.
        """
        present, ids = present_projects(disk), {image.id for image in disk.images}
        self._forget(present, ids, asked)
        held = projects_by_image(disk.containers)
        called = {(_repository_of(key), project) for key, projects in self._by.items() for project in projects}
        for image in disk.images:
            tags = [normalised(tag) for tag in image.tags] if image.id in uses or image.id in held else []
            for project in (each for each in uses.get(image.id, ()) if each in present or each == ANY_PROJECT):
                # Of those that a name may have meant, one was it. They are not all called so.
                names = tags or [repository(digest) for digest in image.digests]
                for name in names:
                    if (_repository_of(name), project) not in called:
                        self.mean(name, (project,))
            for name in tags:
                self.mean(name, held.get(image.id, ()))

    def keys(self) -> Iterator[str]:
        """Of all rows that are stored."""
        yield from (_PREFIX + key for key in self._by)

    def remember_again(self) -> None:
        """The store has lost everything."""
        self._changed.update(self._by)

    def rows(self) -> dict[str, Row | None]:
        """What changed since the last time, to be stored."""
        rows: dict[str, Row | None] = {}
        for key in self._changed:
            projects = self._by.get(key)
            rows[_PREFIX + key] = None if projects is None else {"projects": list(projects)}
        self._changed.clear()
        return rows

    def restore(self, rows: Rows) -> None:
        """Take back what an earlier run stored. A row that can't be read stands for any project."""
        for key, stored in rows.items():
            if stored is not None and key.startswith(_PREFIX) and len(self._by) <= MOST_KEYS:
                self._by[key.removeprefix(_PREFIX)] = _projects_of(stored) or (ANY_PROJECT,)

    def _forget(self, present: frozenset[str], ids: set[str], asked: float) -> None:
        """Let go of projects of which there is nothing, and of ids of images that are gone."""
        for key, projects in list(self._by.items()):
            if self._said.get(key, -math.inf) >= asked:
                continue
            gone = key.startswith(ID) and key not in ids
            left = [each for each in projects if each in present or (each == ANY_PROJECT and present)]
            self._put(key, () if gone else tuple(left))
        self._said = {key: since for key, since in self._said.items() if since >= asked}

    def _in_room(self, key: str) -> str:
        """What stands for a key that has no room: the repository with the most is remembered as a whole from now on."""
        names = Counter(_repository_of(each) for each in self._by if not each.startswith(ID))
        (most, count), *_ = names.most_common(1) or [("", 0)]
        if EVERY_IMAGE in self._by or count < _WORTH_IT:
            return EVERY_IMAGE
        tags = [each for each in self._by if each != most and _repository_of(each) == most]
        for each in tags:
            self._said[most] = max(self._said.get(most, -math.inf), self._said.pop(each, -math.inf))
            self._put(most, with_projects(self._by.get(most, ()), self._by[each]))
            self._put(each, ())
        return most if _repository_of(key) == most else key

    def _put(self, key: str, projects: tuple[str, ...]) -> None:
        if projects == self._by.get(key, ()):
            return
        if projects:
            self._by[key] = projects
        else:
            del self._by[key]
        self._changed.add(key)


def with_projects(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    """Both, each once, and no more than are remembered."""
    every = tuple(dict.fromkeys((*known, *(each for each in more if each))))
    return every if len(every) <= MOST_PROJECTS else (*every[: MOST_PROJECTS - 1], ANY_PROJECT)


def present_projects(disk: DiskUsage) -> frozenset[str]:
    """Compose projects of which there is a container, a network or a volume."""
    labels = [each.labels for part in (disk.containers, disk.networks, disk.volumes) for each in part]
    return frozenset(each[COMPOSE_PROJECT] for each in labels if each.get(COMPOSE_PROJECT))


def projects_by_image(containers: Iterable[KeptContainer]) -> dict[str, set[str]]:
    """Id of each image that has containers -> their projects."""
    held: dict[str, set[str]] = {}
    for container in containers:
        projects = held.setdefault(container.image_id, set())
        project = container.labels.get(COMPOSE_PROJECT)
        if project:
            projects.add(project)
    return held


def _projects_of(stored: object) -> tuple[str, ...] | None:
    return words(stored.get("projects"), MOST_PROJECTS) if isinstance(stored, Mapping) else None


def _repository_of(key: str) -> str:
    return key if key.startswith(ID) else repository(key)

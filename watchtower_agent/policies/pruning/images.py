"""Which images may be deleted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from watchtower_agent.model.disk_usage import DiskUsage, Image
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import is_marked
from watchtower_agent.model.removal import Kind
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.circumstances import Holders
from watchtower_agent.policies.pruning.image_use import ImageUse
from watchtower_agent.policies.pruning.item import Item, Kept, Protection, short
from watchtower_agent.policies.pruning.judgement import Judgement, Reason
from watchtower_agent.policies.pruning.lineage import Lineage
from watchtower_agent.policies.pruning.project_names import ANY_PROJECT
from watchtower_agent.policies.pruning.references import ID, References, is_named_by, repository
from watchtower_agent.policies.pruning.rules import ImageRules
from watchtower_agent.policies.selector import Patterns

_Known = tuple[float | None, tuple[str, ...]]
"""When an image was last used, and the projects that had containers of it or of what had its name before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What becomes of them.

    Attributes:
        dangling: Those without a name that may be deleted, and upon which nothing with a name is built, in order.
        named: The others that may be, in order.
        kept: Those that stay.
    """

    dangling: tuple[Item, ...] = ()
    named: tuple[Item, ...] = ()
    kept: tuple[Kept, ...] = ()


def judged(
    rules: ImageRules, use: ImageUse, disk: DiskUsage, holders: Holders, now: Instant, *, cache_goes: bool
) -> Images:
    """What becomes of the images: least recently used first, then those with most bytes of their own.

    An image is as recently used as the newest that is built upon it, and is kept when that is. Where what images share
    with the build cache may go right after them (`cache_goes`), their bytes are free later.
    """
    images = {image.id: image for image in disk.images}
    lineage = Lineage.of({image.id: (image.parent,) if image.parent else () for image in images.values()})
    known = {image.id: use.known(image) for image in images.values()}
    court = _Court(
        rules=rules,
        holders=holders,
        now=now,
        gap=use.gap,
        images=images,
        known=known,
        newest=_newest(rules, known, images.values(), now),
        cached=cache_goes,
    )
    for image_id in lineage.order:
        court.judge(images[image_id], lineage.children.get(image_id, ()))
    judgement = court.judgement
    for image in (images[image_id] for image_id in lineage.endless):
        judgement.keep(image.id, _name(image), (Protection.CHILD, short(image.parent)), size=image.size, unused=0.0)
    heights = lineage.heights
    items = sorted(
        judgement.items.values(), key=lambda item: (-item.unused, heights[item.id], -_weight(item, images), item.id)
    )
    return Images(
        dangling=tuple(item for item in items if item.id in court.dangling),
        named=tuple(item for item in items if item.id not in court.dangling),
        kept=tuple(judgement.kept.values()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Court:
    """Judges image after image, those that are built upon others first."""

    rules: ImageRules
    holders: Holders
    now: Instant
    gap: float
    """Until when uses may have been missed, monotonic."""
    images: Mapping[str, Image]
    known: Mapping[str, _Known]
    newest: Mapping[str, str]
    cached: bool = False
    """The build cache has bytes of some image, nobody knows of which."""
    judgement: Judgement = field(init=False)
    patterns: Patterns = field(init=False)
    references: Sequence[tuple[Protection, References]] = field(init=False)
    ages: dict[str, float] = field(default_factory=dict)
    dangling: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # Frozen: derived once, here.
        object.__setattr__(self, "patterns", Patterns(self.rules.keep))
        references = ((Protection.SERVICE, self.holders.services), (Protection.CONTAINER, self.holders.mounted))
        object.__setattr__(self, "references", tuple(each for each in references if each[1].names))
        object.__setattr__(self, "judgement", Judgement(Kind.IMAGE, self.rules.unused_for))

    def judge(self, image: Image, children: Sequence[str]) -> None:
        image_id, (last, projects), asked = image.id, self.known[image.id], self.rules.unused_for
        unused = 0.0 if last is None else max(0.0, self.now.monotonic - last)
        for child in children:
            unused = min(unused, self.ages[child])
        self.ages[image_id] = unused
        found = self._referred(image, projects) or self._ruled(image, children)
        if found is None and unused < asked:
            found = (Protection.GAP if last is not None and last <= self.gap else Protection.RECENT, "")
        if found is not None:
            self.judgement.keep(image_id, _name(image), found, size=image.size, unused=unused)
            return
        self.judgement.delete(
            image_id,
            _name(image),
            size=_unique(image),
            unused=unused,
            tags=image.tags,
            parents=(image.parent,) if image.parent else (),
            # One that a registry gave has its bytes to itself.
            cached=self.cached and not image.digests,
        )
        if image.dangling and all(child in self.dangling for child in children):
            self.dangling.add(image_id)

    def _referred(self, image: Image, projects: Sequence[str]) -> Reason | None:
        """Who needs it."""
        holders = self.holders
        if image.id in holders.own_images:
            return Protection.OWN, ""
        if image.id in holders.images:
            return Protection.CONTAINER, holders.images[image.id]
        if is_marked(image.labels):
            return Protection.LABEL, ""
        for protection, references in self.references:
            if named := references.name(image):
                return protection, _shown(named)
        return self._composed(projects) if holders.projects else None

    def _composed(self, projects: Sequence[str]) -> Reason | None:
        """Which Compose project that is here needs it."""
        for project in projects:
            if project == ANY_PROJECT:
                return Protection.COMPOSE, ""
            if project in self.holders.projects:
                return Protection.COMPOSE, project
        return None

    def _ruled(self, image: Image, children: Sequence[str]) -> Reason | None:
        """Which rule keeps it."""
        rules = self.rules
        if image.unread:
            return Protection.UNREAD, ""
        for reference in (*image.tags, *image.digests) if rules.keep else ():
            if is_named_by(self.patterns, reference):
                return Protection.PATTERN, reference
        for child in children:
            if child in self.judgement.kept:
                return Protection.CHILD, _name(self.images[child])
        return self._counted(image)

    def _counted(self, image: Image) -> Reason | None:
        """Which rule keeps it that is about whether it has a name, and how many others of its repository are newer."""
        if self.rules.dangling and not image.dangling:
            return Protection.NAMED, ""
        if image.id in self.newest:
            return Protection.NEWEST, self.newest[image.id]
        # One without a name goes all the same: nobody can ask for it, here or of any registry.
        if not image.dangling and not image.digests and not self.rules.without_digest:
            return Protection.NO_DIGEST, ""
        return None


def _newest(rules: ImageRules, known: Mapping[str, _Known], images: Iterable[Image], now: Instant) -> dict[str, str]:
    """Id -> a repository of which it is one of the newest: made last or, of those made together, used last.

    An image is of a repository by a tag or by a digest alone: it was pulled so, or its tag went to a newer one, and
    people go back to it by that digest.
    """
    if not rules.keep_newest:
        return {}
    by_repository: dict[str, list[tuple[float, float, str]]] = {}
    for image in images:
        used = known[image.id][0]
        age = (image.created_at, now.monotonic if used is None else used, image.id)
        # Without its digest a reference is one of few, which are parsed once.
        repositories = {repository(each.partition("@")[0]) for each in (*image.tags, *image.digests)}
        for name in repositories:
            by_repository.setdefault(name, []).append(age)
    newest: dict[str, str] = {}
    for name, ages in by_repository.items():
        for _, _, image_id in sorted(ages, reverse=True)[: rules.keep_newest]:
            newest.setdefault(image_id, name)
    return newest


def _unique(image: Image) -> int | None:
    return None if image.shared is None else max(0, image.size - max(0, image.shared))


def _weight(item: Item, images: Mapping[str, Image]) -> float:
    return images[item.id].size if item.size is None else item.size


def _name(image: Image) -> str:
    return min(image.tags) if image.tags else short(image.id)


def _shown(name: str) -> str:
    return short(name) if name.startswith(ID) else name

"""What a pass may delete, in which order, and what it keeps and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning import cache, containers, images, networks, volumes
from watchtower_agent.policies.pruning.circumstances import Circumstances, Holders
from watchtower_agent.policies.pruning.item import Item, Kept
from watchtower_agent.policies.pruning.rules import Rules
from watchtower_agent.policies.pruning.usage import Usage

_Told = TypeVar("_Told", Item, Kept)

EXPIRES_AFTER: Final = 600.0
"""Seconds for which a plan lasts that nobody has to approve."""
MOST_TOLD: Final = 100
"""Objects that are to be deleted, and as many that are kept, of which a plan's event tells all there is to say."""
MOST_RECORDS: Final = 1000
"""Records of the build cache that a pass takes of a plan: more than it can ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was found of one listing.

    Attributes:
        rules: By which it was made.
        items: What may be deleted, in order: nothing else is. All of it, though a pass may end before it is through.
        kept: What stays, of the kinds that the rules name, and why.
        made: When.
        listed_at: When the listing was asked for, seconds since the epoch.
        lasts: Seconds after which nothing more of it is carried out.
    """

    rules: Rules
    items: tuple[Item, ...] = ()
    kept: tuple[Kept, ...] = ()
    made: Instant
    listed_at: float
    lasts: float = EXPIRES_AFTER

    @property
    def told(self) -> tuple[Item, ...]:
        """What its event tells all of: some of each kind, so that hundreds of records do not hide the images."""
        return spread(self.items, MOST_TOLD)

    @property
    def records(self) -> tuple[str, ...]:
        """Ids of further records of the build cache, which its event tells, too."""
        told = {item.id for item in self.told if item.kind is Kind.CACHE}
        records = [item.id for item in self.items if item.kind is Kind.CACHE][:MOST_RECORDS]
        return tuple(each for each in records if each not in told)

    @property
    def announced(self) -> tuple[Item, ...]:
        """What a pass may take of it, in order: what its event names, and nothing else."""
        told, records = {(item.kind, item.id) for item in self.told}, frozenset(self.records)
        return tuple(
            item
            for item in self.items
            if (item.kind, item.id) in told or (item.kind is Kind.CACHE and item.id in records)
        )

    @property
    def size(self) -> int:
        """Bytes that all of it frees, as far as the engine says beforehand."""
        return sum(item.size or 0 for item in self.items)

    def is_over(self, now: Instant) -> bool:
        """Whether it is too old to be carried out."""
        return not 0.0 <= now.passed_since(self.made) < self.lasts


def plan(rules: Rules, usage: Usage, disk: DiskUsage, circumstances: Circumstances, now: Instant) -> Plan:
    """Plan a pass: build cache, images without a name, containers, other images, networks, volumes.

    What one item of a plan refers to is not in the same plan: the image of a container that is to be deleted stays
    until the next one.

    Args:
        rules: What may be pruned.
        usage: When everything was last used. It has taken this listing already.
        disk: The listing.
        circumstances: What else is to be known.
        now: The present.
    """
    holders = Holders.of(disk, circumstances)
    items: list[Item] = []
    kept: list[Kept] = []

    def take(judged: tuple[Iterable[Item], Iterable[Kept]]) -> None:
        items.extend(judged[0])
        kept.extend(judged[1])

    of_images = images.Images()
    if rules.images is not None:
        cache_goes = rules.build_cache is not None and cache.follows_images(rules.build_cache, disk, circumstances, now)
        of_images = images.judged(rules.images, usage.images, disk, holders, now, cache_goes=cache_goes)
    if rules.build_cache is not None:
        take(cache.judged(rules.build_cache, disk, circumstances, now))
    take((of_images.dangling, ()))
    if rules.containers is not None:
        take(containers.judged(rules.containers, disk, circumstances, now))
    take((of_images.named, of_images.kept))
    if rules.networks is not None:
        take(networks.judged(rules.networks, usage.networks, disk, holders, now))
    if rules.volumes is not None:
        take(volumes.judged(rules.volumes, usage.volumes, disk, holders, circumstances, now))
    return Plan(rules=rules, items=tuple(items), kept=tuple(kept), made=now, listed_at=disk.at)


def spread(objects: Sequence[_Told], most: int) -> tuple[_Told, ...]:
    """So many of them in their order: the first of each kind, as many of each as there is room for.

    Args:
        objects: In order.
        most: How many at most.
    """
    seen: Counter[Kind] = Counter()
    places: list[tuple[int, int]] = []
    for place, each in enumerate(objects):
        places.append((seen[each.kind], place))
        seen[each.kind] += 1
    return tuple(objects[place] for place in sorted(place for _, place in sorted(places)[:most]))

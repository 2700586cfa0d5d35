"""Which records of the build cache may be deleted. Pure."""

from __future__ import annotations

from watchtower_agent.model.disk_usage import CacheRecord, DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Circumstances
from watchtower_agent.policies.pruning.item import Item, Kept, Protection, short
from watchtower_agent.policies.pruning.judgement import Judgement, Reason
from watchtower_agent.policies.pruning.lineage import Lineage
from watchtower_agent.policies.pruning.rules import CacheRules


def judged(
    rules: CacheRules, disk: DiskUsage, circumstances: Circumstances, now: Instant
) -> tuple[tuple[Item, ...], tuple[Kept, ...]]:
    """What becomes of the records: least recently used first, none before those that build upon it.

    Many engines don't tell what builds upon what: then a pass finds out. Of those that were last used together the
    youngest comes first: nothing builds upon it, most likely.
    """
    records = {record.id: record for record in disk.cache}
    lineage = Lineage.of({record.id: record.parents for record in records.values()})
    judgement = Judgement(Kind.CACHE, rules.unused_for)
    ages: dict[str, float] = {}
    for record in (records[each] for each in (*lineage.order, *sorted(lineage.endless))):
        unused, upon = circumstances.age(_used(record), now), None
        for child in lineage.children.get(record.id, ()):
            unused = min(unused, ages.get(child, 0.0))
            if upon is None and child not in judgement.items:
                upon = child
        ages[record.id] = unused
        name, found = short(record.id), _protection(record, unused, rules, upon)
        if found is None:
            judgement.delete(
                record.id, name, size=record.size, unused=unused, stamp=record.used_at, parents=record.parents
            )
        else:
            judgement.keep(record.id, name, found, size=record.size, unused=unused)
    heights = lineage.heights
    ordered = sorted(
        judgement.items.values(),
        key=lambda item: (-item.unused, heights[item.id], -records[item.id].created_at, item.id),
    )
    return tuple(ordered), tuple(judgement.kept.values())


def follows_images(rules: CacheRules, disk: DiskUsage, circumstances: Circumstances, now: Instant) -> bool:
    """Whether records may go that nothing keeps but images which have their bytes, too: the next pass finds them free.

    Of which image a record has the bytes nobody tells.
    """
    return any(record.shared and circumstances.age(_used(record), now) >= rules.unused_for for record in disk.cache)


def _protection(record: CacheRecord, unused: float, rules: CacheRules, upon: str | None) -> Reason | None:
    if record.in_use:
        return Protection.IN_USE, ""
    if record.shared:
        return Protection.SHARED, ""
    if upon is not None:
        return Protection.CHILD, short(upon)
    return (Protection.RECENT, "") if unused < rules.unused_for else None


def _used(record: CacheRecord) -> float:
    return max(record.created_at, record.used_at or 0.0)

"""Which records of the build cache may be deleted. Pure."""

from __future__ import annotations

from watchtower_agent.model.disk_usage import CacheRecord, DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Circumstances
from watchtower_agent.policies.pruning.item import Item, Kept, Protection, short
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
    items: dict[str, Item] = {}
    kept: dict[str, Kept] = {}
    ages: dict[str, float] = {}
    for record in (records[each] for each in (*lineage.order, *sorted(lineage.endless))):
        children = lineage.children.get(record.id, ())
        own = circumstances.age(_used(record), now)
        unused = ages[record.id] = min((own, *(ages.get(child, 0.0) for child in children)))
        upon = next((child for child in children if child not in items), None)
        found = _protection(record, unused, rules, upon)
        if found is not None:
            kept[record.id] = Kept(
                kind=Kind.CACHE,
                id=record.id,
                name=short(record.id),
                protection=found,
                by=short(upon) if upon is not None and found is Protection.CHILD else "",
                size=record.size,
                unused=unused,
                asked=rules.unused_for,
            )
            continue
        items[record.id] = Item(
            kind=Kind.CACHE,
            id=record.id,
            name=short(record.id),
            size=record.size,
            unused=unused,
            asked=rules.unused_for,
            stamp=record.used_at,
            parents=record.parents,
        )
    ordered = sorted(
        items.values(),
        key=lambda item: (-item.unused, lineage.heights[item.id], -records[item.id].created_at, item.id),
    )
    return tuple(ordered), tuple(kept.values())


def _protection(record: CacheRecord, unused: float, rules: CacheRules, upon: str | None) -> Protection | None:
    if record.in_use:
        return Protection.IN_USE
    if record.shared:
        return Protection.SHARED
    if upon is not None:
        return Protection.CHILD
    return Protection.RECENT if unused < rules.unused_for else None


def _used(record: CacheRecord) -> float:
    return max(record.created_at, record.used_at or 0.0)

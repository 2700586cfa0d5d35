"""Whether what was planned may still be deleted, just before it is. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Circumstances
from watchtower_agent.policies.pruning.item import Item, Kept, Protection, short
from watchtower_agent.policies.pruning.plan import Plan, plan
from watchtower_agent.policies.pruning.rules import Rules
from watchtower_agent.policies.pruning.usage import Usage

_AGAIN: Final = frozenset({Protection.RECENT})
_BY_USE: Final = frozenset({Kind.IMAGE, Kind.NETWORK})
"""Of these the engine says itself neither when they were used nor when they were made anew."""
_CLOCKS_DIFFER: Final = 0.001
"""Seconds by which sums of the same times may differ."""


def objection(
    item: Item, planned: Plan, usage: Usage, disk: DiskUsage, circumstances: Circumstances, now: Instant
) -> Kept | None:
    """What stands against deleting it now; None: nothing does.

    All rules are asked again, also those about others: somebody may have deleted the newest of its repository.

    Args:
        item: The next of the plan.
        planned: The plan.
        usage: When everything was last used, by now.
        disk: A listing of just now, which `usage` has taken. It needs no sizes, and besides containers, networks,
            volumes and what services name only objects of the item's kind. Where there is none, that of the plan: then
            only events tell what happened since, and the engine is to be asked about the object itself.
        circumstances: As they are now.
        now: The present.
    """
    again = plan(_only(item.kind, planned.rules), usage, disk, circumstances, now)
    found = next((each for each in again.items if each.id == item.id), None)
    if found is None:
        kept = next((each for each in again.kept if each.id == item.id), None)
        if kept is None:
            return _kept(item, Protection.GONE)
        return replace(kept, protection=Protection.USED_AGAIN) if kept.protection in _AGAIN else kept
    if item.kind is Kind.IMAGE and (child := _child(item, disk)) is not None:
        return _kept(item, Protection.CHILD, by=child)
    change = _change(item, found, now.passed_since(planned.made))
    return None if change is None else _kept(item, change)


def _change(item: Item, found: Item, passed: float) -> Protection | None:
    """What is no longer as it was planned, that many seconds ago."""
    if set(found.tags) != set(item.tags):
        return Protection.CHANGED
    if item.kind in _BY_USE and found.unused < passed - _CLOCKS_DIFFER:
        return Protection.USED_AGAIN  # however short a time without use is asked for
    if found.stamp != item.stamp:
        return Protection.CHANGED if item.kind is Kind.VOLUME else Protection.USED_AGAIN
    return None


def _kept(item: Item, protection: Protection, *, by: str = "") -> Kept:
    return Kept(
        kind=item.kind, id=item.id, name=item.name, protection=protection, by=by, size=item.size, asked=item.asked
    )


def _child(item: Item, disk: DiskUsage) -> str | None:
    """What is built upon the image and is there still: it was to be deleted before, and that did not succeed."""
    child = next((each for each in disk.images if each.parent == item.id), None)
    if child is None:
        return None
    return min(child.tags, default=short(child.id))


def _only(kind: Kind, rules: Rules) -> Rules:
    return replace(
        rules,
        build_cache=rules.build_cache if kind is Kind.CACHE else None,
        images=rules.images if kind is Kind.IMAGE else None,
        containers=rules.containers if kind is Kind.CONTAINER else None,
        networks=rules.networks if kind is Kind.NETWORK else None,
        volumes=rules.volumes if kind is Kind.VOLUME else None,
    )

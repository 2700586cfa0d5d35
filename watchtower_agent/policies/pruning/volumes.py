"""Which volumes may be deleted: hardly any. Pure."""

from __future__ import annotations

from watchtower_agent.model.disk_usage import DiskUsage, Volume
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import is_marked
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import ENGINE_UP, Cause, Circumstances, Holders
from watchtower_agent.policies.pruning.idleness import AGREEING, Idleness, Span
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.judgement import Judgement, Reason
from watchtower_agent.policies.pruning.rules import VolumeRules
from watchtower_agent.policies.selector import Patterns


def judged(
    rules: VolumeRules,
    idleness: Idleness,
    disk: DiskUsage,
    holders: Holders,
    circumstances: Circumstances,
    now: Instant,
) -> tuple[tuple[Item, ...], tuple[Kept, ...]]:
    """What becomes of the volumes: those that were unattached for longest come first, then the largest."""
    patterns = Patterns(rules.only)
    judgement = Judgement(Kind.VOLUME, rules.unattached_for)
    doubt = _doubt(circumstances)
    for volume in disk.volumes:
        name, span = volume.name, idleness.span(volume.name)
        unused = 0.0 if span is None else max(0.0, now.monotonic - span.since)
        found = _referred(volume, patterns, holders) or doubt or _too_recent(span, unused, rules, idleness)
        if found is None:
            judgement.delete(name, name, size=volume.size, unused=unused, stamp=volume.created_at)
        else:
            judgement.keep(name, name, found, size=volume.size, unused=unused)
    return judgement.by_idleness()


def _referred(volume: Volume, patterns: Patterns, holders: Holders) -> Reason | None:
    if not patterns.match(volume.name):
        return Protection.NOT_LISTED, ""
    if volume.name in holders.volumes:
        return Protection.CONTAINER, holders.volumes[volume.name]
    if volume.name in holders.service_volumes:
        return Protection.SERVICE, ""
    return (Protection.LABEL, "") if is_marked(volume.labels) else None


def _doubt(circumstances: Circumstances) -> Reason | None:
    if circumstances.cause is Cause.PRESSURE:
        return Protection.PRESSURE, ""
    # written so that what is no number keeps it
    if circumstances.engine_up is None or not circumstances.engine_up >= ENGINE_UP:
        return Protection.ENGINE_UP, ""
    return None


def _too_recent(span: Span | None, unused: float, rules: VolumeRules, idleness: Idleness) -> Reason | None:
    if span is None or unused < rules.unattached_for:
        return (Protection.GAP if span is not None and span.since <= idleness.gap else Protection.RECENT), ""
    return (Protection.LISTINGS, "") if span.listings < AGREEING else None

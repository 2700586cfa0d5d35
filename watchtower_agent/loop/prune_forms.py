"""Plans and passes of pruning as JSON objects, every text in them cut: `explain`, `status`, `prune`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from watchtower_agent.loop.forms import LONGEST_NAME, LONGEST_SENTENCE
from watchtower_agent.loop.prune_notices import item_json, kept_json
from watchtower_agent.loop.prune_pass import PrunePass
from watchtower_agent.loop.prune_plans import Planned, Summary
from watchtower_agent.loop.pruning import Pruning
from watchtower_agent.loop.readings import cut
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.model.removal import Space
from watchtower_agent.policies.pruned import end_numbers
from watchtower_agent.policies.pruning.item import Item, Kept

MOST_ROWS: Final = 250
"""Objects to be deleted, and as many that are kept, of one page of a plan."""
_MOST_TAGS: Final = 5
"""Of one image. With all texts used up and nothing but emoji a page stays below what an answer may have."""


def plan_json(planned: Planned, offset: int, limit: int) -> dict[str, object]:
    """A plan with a page of its objects.

    Args:
        planned: The plan.
        offset: How many of the first are left out, of those to be deleted and of those that are kept.
        limit: How many at most of each; never more than `MOST_ROWS`.
    """
    plan, rows = planned.plan, slice(offset, offset + min(limit, MOST_ROWS))
    until = planned.strategy.until
    return {
        **summary_json(Summary.of(planned)),
        "correlation_id": planned.decision.correlation_id,
        "counts": {kind.value: count for kind, count in Counter(item.kind for item in plan.items).items()},
        "protections": {word.value: count for word, count in Counter(each.protection for each in plan.kept).items()},
        "space": space_json(planned.space),
        "until": None if until is None else cut(until.text, LONGEST_SENTENCE),
        "reached": planned.strategy.reached(planned.space) is True,
        "most": plan.rules.most,
        "most_cache": plan.rules.most_cache,
        "offset": offset,
        "items": [_item(each) for each in plan.items[rows]],
        "keeps": [_kept(each) for each in plan.kept[rows]],
    }


def summary_json(plan: Summary) -> dict[str, object]:
    """A plan without its objects."""
    return {
        "plan": plan.id,
        "policy": cut(plan.policy, LONGEST_NAME),
        "made_at": plan.made.wall,
        "expires_at": plan.made.wall + plan.lasts,
        "objects": plan.objects,
        "size": plan.size,
        "kept": plan.kept,
        "words": cut(plan.words, LONGEST_SENTENCE),
    }


def space_json(space: Space | None) -> dict[str, object] | None:
    """How much there is of the data-root's file system; None where that is not known."""
    if space is None:
        return None
    return {
        "used": round(space.used, 4),
        "used_bytes": round(space.used_bytes, 4),
        "used_inodes": round(space.used_inodes, 4),
        "free": space.free,
        "total": space.total,
    }


def pruning_json(pruning: Pruning, policy: str, now: Instant) -> dict[str, object]:
    """How far one policy that prunes is: its newest plan while that is alive, the pass under way, the last one."""
    newest, going = pruning.planning.plans.newest.get(policy), pruning.under_way
    mine = going if going is not None and going.intent.decision.policy == policy else None
    begun = pruning.guarded.passes.by.get(policy)
    last = pruning.last.get(policy)
    return {
        "policy": cut(policy, LONGEST_NAME),
        "plan": None if newest is None or newest.is_over(now) else summary_json(newest),
        "under_way": None if mine is None else _pass(mine),
        "last": None if last is None else _outcome(last),
        "begun_at": None if not begun else now.wall - now.passed_since(begun[-1][1]),
    }


def pruned_told(pruning: Pruning, now: Instant) -> Iterator[dict[str, object]]:
    """The same of every policy that prunes."""
    for policy in pruning.pruning:
        yield pruning_json(pruning, policy, now)


def tracking_json(pruning: Pruning, now: Instant) -> dict[str, object] | None:
    """How well it is known when things were last used; None while no policy prunes."""
    usage = pruning.tracking.usage
    if usage is None:
        return None
    return {
        "images": usage.images.count,
        "since": _wall(usage.images.oldest(), now),
        "gap": _wall(usage.images.gap, now),
        "listed_at": _wall(usage.asked, now),
    }


def _wall(monotonic: float | None, now: Instant) -> float | None:
    """A moment on the wall clock of the present; None for one that never was."""
    if monotonic is None or monotonic == float("-inf"):
        return None
    return now.wall - (now.monotonic - monotonic)


def _pass(going: PrunePass) -> dict[str, object]:
    course, objects = going.course, len(going.plan.announced)
    numbers = {} if course is None else end_numbers(course, going.before)
    attempt = None if course is None else course.attempt
    return {
        "plan": going.plan_id,
        "since": going.intent.at,
        "objects": objects,
        "left": objects if course is None else len(course.waiting) + len(course.again),
        "deleted": numbers.get("deleted", 0),
        "kept": numbers.get("kept", 0),
        "failed": numbers.get("failed", 0),
        "freed": numbers.get("freed", 0),
        "space": space_json(None if course is None else course.space),
        "deleting": None if attempt is None else {"kind": attempt.kind.value, "name": cut(attempt.name, LONGEST_NAME)},
    }


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "decision": outcome.decision.id,
        "result": outcome.result.value,
        "reason": cut(outcome.reason, LONGEST_SENTENCE),
        "finished_at": outcome.finished_at,
        "freed": outcome.numbers.get("freed"),
        "deleted": outcome.numbers.get("deleted"),
    }


def _item(item: Item) -> dict[str, object]:
    told = item_json(item) | {"name": cut(item.name, LONGEST_NAME)}
    return told | ({"tags": [cut(tag, LONGEST_NAME) for tag in item.tags[:_MOST_TAGS]]} if item.tags else {})


def _kept(kept: Kept) -> dict[str, object]:
    return kept_json(kept) | {"name": cut(kept.name, LONGEST_NAME), "by": cut(kept.by, LONGEST_NAME)}

"""What the agent says of what it prunes, in the words that people read. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from watchtower_agent.model.decision import Decision, Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.removal import Kind, Space
from watchtower_agent.policies.pruned import counted, in_bytes, nothing_to_delete, numbers_of, used_in_words
from watchtower_agent.policies.pruning.course import Course
from watchtower_agent.policies.pruning.item import Item, Kept
from watchtower_agent.policies.pruning.plan import MOST_TOLD, Plan, spread
from watchtower_agent.policies.pruning.step import Step
from watchtower_agent.policies.wording import lasting

PLANNED: Final = "prune_plan"
PRUNED: Final = "pruned"
KEPT: Final = "prune_kept"
INEFFECTIVE: Final = "prune_ineffective"


def planned(wish: Decision, plan: Plan, space: Space | None, plan_id: str, now: Instant) -> Notice:
    """A plan was made; it deletes nothing yet."""
    if plan.items:
        more = f" ({in_bytes(plan.size)})" if plan.size else ""
        what = f"{counted(item.kind for item in plan.items)} may be deleted{more}, {len(plan.kept)} are kept"
    else:
        what = nothing_to_delete(plan)
    items, records, keeps = plan.told, plan.records, spread(plan.kept, MOST_TOLD)
    return _notice(
        PLANNED,
        wish,
        f"{what}; {used_in_words(space)}",
        {
            "plan": plan_id,
            **numbers_of(plan),
            "used": None if space is None else round(space.used, 4),
            "items": [item_json(each) for each in items],
            # All that a pass may delete is in its event, be it by its id alone; the control socket tells the rest, too.
            **({"records": list(records)} if records else {}),
            "protections": {word.value: count for word, count in Counter(k.protection for k in plan.kept).items()},
            "keeps": [kept_json(each) for each in keeps],
            "left_out": len(plan.items) - len(items) - len(records) + len(plan.kept) - len(keeps),
        },
        now,
    )


def pruned(decision: Decision, course: Course, step: Step, item: Item, now: Instant) -> Notice:
    """One object was deleted."""
    unused = (
        f"unused for {lasting(item.unused)}" if item.kind is not Kind.CONTAINER else f"ended {lasting(item.unused)} ago"
    )
    freed = "" if not step.freed else f", {in_bytes(step.freed)} freed"
    data = {**item_json(item), "freed": step.freed, "number": len(course.deletions), **_space(course.space)}
    return _notice(PRUNED, decision, f"deleted {item.kind.value} {item.name} ({unused}){freed}", data, now)


def kept(decision: Decision, kept: Kept, now: Instant) -> Notice:
    """One object that was planned stays after all."""
    by = f" ({kept.by})" if kept.by else ""
    reason = f"{kept.kind.value} {kept.name} is kept after all: {kept.protection.value}{by}"
    return _notice(KEPT, decision, reason, kept_json(kept), now)


def failed(decision: Decision, item: Item, why: str, now: Instant) -> Notice:
    """One object could not be deleted."""
    data = {**item_json(item), "error": why}
    return _notice(
        "prune_failed", decision, f"{item.kind.value} {item.name} was not deleted: {why}", data, now, Severity.WARNING
    )


def ineffective(decision: Decision, course: Course, now: Instant) -> Notice:
    """Deleting does not help."""
    reason = (
        f"pruning does not help: {counted(step.kind for step in course.deletions)} deleted and the last of it freed "
        f"next to nothing; {used_in_words(course.space)}. Something else takes the space: look at the build cache, "
        "logs, volumes and what else is on that file system"
    )
    data = {"deleted": len(course.deletions), "freed": course.freed, **_space(course.space)}
    return _notice(INEFFECTIVE, decision, reason, data, now, Severity.CRITICAL)


def item_json(item: Item) -> dict[str, object]:
    """One that may be deleted."""
    return {
        "kind": item.kind.value,
        "id": item.id,
        "name": item.name,
        "size": item.size,
        "unused": round(item.unused, 1),
        "asked": item.asked,
        **({"tags": list(item.tags)} if item.tags else {}),
    }


def kept_json(kept: Kept) -> dict[str, object]:
    """One that stays."""
    return {
        "kind": kept.kind.value,
        "id": kept.id,
        "name": kept.name,
        "protection": kept.protection.value,
        "by": kept.by,
        "size": kept.size,
        "unused": None if kept.unused is None else round(kept.unused, 1),
        "asked": kept.asked,
    }


def _space(space: Space | None) -> dict[str, object]:
    if space is None:
        return {"used": None, "free": None}
    return {"used": round(space.used, 4), "free": space.free}


def _notice(
    action: str,
    decision: Decision,
    reason: str,
    data: dict[str, object],
    now: Instant,
    severity: Severity = Severity.INFO,
) -> Notice:
    return Notice(
        kind=EventKind.POLICY,
        action=action,
        subject=decision.policy,
        severity=severity,
        reason=reason,
        data={"policy": decision.policy, "decision": decision.id, **data},
        at=now.wall,
        correlation_id=decision.correlation_id,
    )

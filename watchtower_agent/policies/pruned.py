"""From a wish to prune and a plan to the decision, and from a pass to its outcome, in words and numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Mode, Number, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.removal import Kind, Space
from watchtower_agent.policies.making import PENDING_FOR, digest
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.pruning.course import Course, Ending
from watchtower_agent.policies.pruning.plan import EXPIRES_AFTER, Plan
from watchtower_agent.policies.pruning.step import Result as StepResult
from watchtower_agent.policies.waiting import BY_HAND, CRON
from watchtower_agent.policies.wording import as_written, valued

PLAN: Final = "plan"
"""Among the parameters of a decision to prune: the id of its plan. Without it the decision is a wish."""

_ONE: Final = {
    Kind.CACHE: "record of build cache",
    Kind.IMAGE: "image",
    Kind.CONTAINER: "container",
    Kind.NETWORK: "network",
    Kind.VOLUME: "volume",
}
_MANY: Final = {kind: f"{one}s" for kind, one in _ONE.items()} | {Kind.CACHE: "records of build cache"}
_DISK: Final = "host.disk.free"
"""Whose unit bytes are told in."""
_PROBLEMS: Final = frozenset({Ending.INEFFECTIVE, Ending.FAILING, Ending.UNMEASURED})


def needs_plan(decision: Decision) -> bool:
    """Whether it is a wish to prune of which it is not known yet what would be deleted."""
    return decision.verb is Verb.PRUNE and PLAN not in decision.parameters


def plan_of(decision: Decision) -> str:
    """Id of the plan that it is to carry out; empty where it has none."""
    plan = decision.parameters.get(PLAN)
    return plan if isinstance(plan, str) else ""


def planned(wish: Decision, plan: Plan, now: Instant) -> Decision:
    """The wish with its plan: what is decided about, and approved, is this and nothing else."""
    identity = digest("plan", wish.id, repr(plan.made.wall))
    return replace(
        wish,
        reason=f"{wish.reason}: {counted(item.kind for item in plan.items)} may be deleted{_of(plan.size)}",
        numbers={**wish.numbers, **numbers_of(plan)},
        parameters={**wish.parameters, PLAN: identity},
        expires_at=now.wall + plan.lasts,
    )


def planned_anew(interrupted: Decision, now: Instant) -> Decision:
    """What is left of a pass that the end of the agent interrupted, as a wish, whatever wanted it.

    There may be enough space by now: then the new pass is over before its first deletion.
    """
    kept = {name: value for name, value in interrupted.numbers.items() if name in {BY_HAND, CRON}}
    return replace(
        interrupted,
        id=digest("again", interrupted.id),
        reason="the agent ended in the middle of a pass",
        numbers=kept,
        parameters={name: value for name, value in interrupted.parameters.items() if name != PLAN},
        approval="",
        from_event=True,
        decided_at=now.wall,
        expires_at=now.wall + PENDING_FOR,
    )


def lasting_for(plan: Plan, policy: Policy) -> Plan:
    """The same plan, lasting as long as people may take to approve it, and then some."""
    return replace(plan, lasts=EXPIRES_AFTER + policy.approve_within) if policy.mode is Mode.APPROVE else plan


def numbers_of(plan: Plan) -> dict[str, Number]:
    """How much it may delete, and how much it keeps."""
    kinds = Counter(item.kind for item in plan.items)
    return {
        "objects": len(plan.items),
        **{f"objects.{kind.value}": kinds[kind] for kind in Kind if kinds[kind]},
        "size": plan.size,
        "kept": len(plan.kept),
    }


def nothing_to_delete(plan: Plan) -> str:
    """Why a plan is empty."""
    if not plan.kept:
        return "there is nothing of what the policy prunes"
    reasons = Counter(kept.protection for kept in plan.kept)
    said = ", ".join(f"{count} {protection.value}" for protection, count in reasons.most_common())
    return f"nothing may be deleted: {len(plan.kept)} kept ({said})"


def counted(kinds: Iterable[Kind]) -> str:
    """`3 images, 12 records of build cache`, or `nothing`."""
    found = Counter(kinds)
    parts = [f"{found[kind]} {(_ONE if found[kind] == 1 else _MANY)[kind]}" for kind in Kind if found[kind]]
    return ", ".join(parts) or "nothing"


def in_bytes(amount: int | None) -> str:
    """`1.5 GiB`, or `?`."""
    return "?" if amount is None else valued(_DISK, float(amount))


def used_in_words(space: Space | None) -> str:
    """`83.1 % used`, of bytes or of inodes, whichever is more."""
    if space is None:
        return "how much space is left is not known"
    of_inodes = space.used_inodes > space.used_bytes
    return f"{100 * space.used:.1f} % {'of the inodes ' if of_inodes else ''}used"


def result_of(course: Course) -> Result:
    """How a pass that is over ended."""
    if course.ending is Ending.INTERRUPTED:
        return Result.INTERRUPTED
    if course.ending in _PROBLEMS:
        return Result.FAILED
    return Result.ABANDONED if course.ending is Ending.STOPPED and not course.steps else Result.SUCCEEDED


def ended_in_words(course: Course, before: Space | None) -> str:
    """What a pass has done, and why it is over."""
    done = f"deleted {counted(step.kind for step in course.deletions)}"
    if course.deletions:
        done += f"{_of(course.freed)}"
    was = f" ({used_in_words(before)} before)" if before is not None and course.space is not None else ""
    now = f"; {used_in_words(course.space)}{was}" if course.space is not None else ""
    return f"{done}{now}: {_why(course)}"


def end_numbers(course: Course, before: Space | None) -> dict[str, Number]:
    """The same in numbers."""
    results = Counter(step.result for step in course.steps)
    kinds = Counter(step.kind for step in course.deletions)
    return {
        "deleted": results[StepResult.DELETED],
        **{f"deleted.{kind.value}": kinds[kind] for kind in Kind if kinds[kind]},
        "kept": results[StepResult.KEPT] + results[StepResult.BUILT_UPON],
        "failed": results[StepResult.FAILED],
        "freed": course.freed,
        "ending": course.ending.value if course.ending is not None else None,
        "used_before": None if before is None else round(before.used, 4),
        "used_after": None if course.space is None else round(course.space.used, 4),
    }


def _of(size: int) -> str:
    return f" ({in_bytes(size)})" if size else ""


def _why(course: Course) -> str:  # noqa: PLR0911 - one return per ending
    match course.ending:
        case Ending.REACHED:
            return "there is as much space as the policy wants"
        case Ending.MOST:
            return "one pass deletes no more"
        case Ending.INEFFECTIVE:
            return "the last deletions freed next to nothing, so something else takes the space"
        case Ending.FAILING:
            last = next((step.reason for step in reversed(course.steps) if step.reason), "")
            return f"several deletions in a row failed{f' ({last})' if last else ''}"
        case Ending.UNMEASURED:
            return "how much space is left can't be measured, so nobody knows when it is enough"
        case Ending.EXPIRED:
            return f"the plan was {as_written(0 if course.plan is None else course.plan.lasts)} old"
        case Ending.STOPPED:
            return course.reason
        case Ending.INTERRUPTED:
            return "the agent ended in the middle of it"
        case _:
            return "the plan is through"

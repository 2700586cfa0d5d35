"""A resized container as JSON objects, and what comes next for its limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower_agent.loop.forms import LONGEST_SENTENCE
from watchtower_agent.loop.readings import cut
from watchtower_agent.loop.resized_containers import Resized
from watchtower_agent.loop.resizing import Resizing
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.explanation import Next, Outlook
from watchtower_agent.policies.resized import HELD_BY, outlook
from watchtower_agent.policies.resizing.recommendation import Advice
from watchtower_agent.policies.resizing.storing import finite
from watchtower_agent.policies.wording import lasting


def next_of_limits(known: Resized | None, now: Instant) -> Next:
    """What comes next, while nothing is wanted or done."""
    if known is None or known.looked is None:
        return Next(outlook=Outlook.UNKNOWN, words="not known: it is looked at within a minute of being seen")
    if now.monotonic < known.retry_at:
        left = known.retry_at - now.monotonic
        words = f"the last change failed ({cut(known.failed, LONGEST_SENTENCE)}); tried again in {lasting(left)}"
        return Next(outlook=Outlook.HELD, words=words, at=now.wall + left)
    advices = known.looked.recommendation.advices
    lowered = [each.may_lower_in for each in advices if each.may_lower_in is not None and each.desired < each.current]
    words = "; ".join(map(outlook, advices))
    if known.looked.recommendation.moves:
        return Next(outlook=Outlook.COUNTING, words=words, at=now.wall)
    if lowered:
        return Next(outlook=Outlook.COUNTING, words=words, at=now.wall + min(lowered))
    return Next(outlook=Outlook.NOTHING, words=words)


def limits_json(known: Resized, now: Instant) -> dict[str, object]:
    """What is known of a container's limits; numbers are bytes and cores, None is no limit or not known.

    `originals` has those that the agent changed, as they were before; 0 for none. `by_hand` has those that
    somebody else changed last, and how many seconds ago that was.
    """
    looked = known.looked
    before = zip(("memory", "cpu"), known.past.originals, strict=True)
    return {
        "failures": known.failures,
        "failed": cut(known.failed, LONGEST_SENTENCE),
        "originals": {name: finite(value) or 0 for name, value in before if value is not None},
        "by_hand": [{"resource": name, "ago": now.monotonic - at} for name, at in known.past.changed_by_others.items()],
        "changes": looked.recommendation.changes if looked is not None else 0,
        "budget": looked.recommendation.budget if looked is not None else 0,
        "resources": [] if looked is None else [_advice_json(each) for each in looked.recommendation.advices],
    }


def resized_told(resizing: Resizing) -> Iterator[dict[str, object]]:
    """Of each policy that resizes, or whose changes can still be reverted, how many containers it has changed.

    Only containers that there are count.
    """
    there = {record.container.name for record in resizing.state.containers.values()}
    by: dict[str, list[Resized]] = {}
    for (policy, name), known in resizing.memory.by.items():
        if name in there:
            by.setdefault(policy, []).append(known)
    for policy, each in sorted(by.items()):
        in_force, resized = resizing.resizes(policy), sum(known.past.has_originals for known in each)
        if not in_force and not resized:
            continue
        looked = [known.looked.recommendation for known in each if known.looked is not None]
        yield {
            "policy": policy,
            "in_force": in_force,
            "containers": len(each),
            "resized": resized,
            "at_max": sum(any(advice.is_at_max for advice in said.advices) for said in looked),
            "killed_at_max": sum(said.at_max for said in looked),
        }


def _advice_json(advice: Advice) -> dict[str, object]:
    needed = advice.needed
    return {
        "resource": advice.resource.value,
        "verdict": advice.verdict.value,
        "limit": finite(advice.current),
        "to": finite(advice.to),
        "min": advice.bounds.least,
        "max": advice.bounds.most,
        "used": advice.used,
        "p95": needed.p95,
        "recent": needed.recent,
        "peak": needed.peak,
        "need": needed.limit,
        "kill_need": advice.kill_need,
        "measured": needed.measured,
        "data": advice.data,
        "may_raise_in": advice.may_raise_in,
        "may_lower_in": advice.may_lower_in,
        "limits": [
            {
                "limit": each.limit.value,
                "before": finite(each.before),
                "after": finite(each.after),
                "why": HELD_BY[each.limit],
            }
            for each in advice.limits
        ],
    }

"""How often the engine's service may be restarted, by whichever policy. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.circumstances import ENGINE_RESTARTS
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.policy import ENGINE_COOLDOWN
from watchtower_agent.policies.wording import as_written


def engine_budget(q: Question) -> Held | None:
    """An engine that hangs again and again is not mended by one restart more: that is for a person.

    Whichever policy restarted it, it gets the cooldown of the one that asks to come up in.
    """
    most, per, begun = q.policy.budget.most, q.policy.budget.per, _begun(q)
    last = min((q.now.passed_since(at) for at in begun), default=per)
    wait = ENGINE_COOLDOWN if q.policy.cooldown is None else q.policy.cooldown
    if last < wait:
        return q.hold(
            Guard.COOLDOWN,
            f"the engine was restarted {as_written(round(last))} ago "
            f"(cooldown, whichever policy did it: {as_written(wait)})",
            numbers={"since_last_action": round(last, 3), "cooldown": wait},
            release_in=wait - last,
        )
    if len(begun) < most:
        return None
    many = "once" if len(begun) == 1 else f"{len(begun)} times"
    return q.hold(
        Guard.BUDGET,
        f"the engine was restarted {many} in {as_written(per)}, which is all that may be (budget): look at it",
        numbers={"restarts": len(begun), "budget": most, "per": per},
        release_in=per - q.now.passed_since(begun[len(begun) - most]),
    )


def engine_budget_passes(q: Question) -> Passed:
    """It was not restarted as often as it may be."""
    most, per, begun = q.policy.budget.most, q.policy.budget.per, _begun(q)
    return Passed(
        reason=f"the engine was restarted {len(begun)} of {most} times in {as_written(per)}",
        numbers={"restarts": len(begun), "budget": most, "per": per},
    )


def _begun(q: Question) -> Sequence[Instant]:
    restarts = q.circumstances.engine_restarts
    return restarts.within(ENGINE_RESTARTS, q.policy.budget.per, q.now, other_than=q.decision.id)

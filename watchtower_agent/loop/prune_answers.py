"""What a person is told who wants to see a plan of pruning, or to have one carried out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchtower_agent.errors import PermanentError, TemporaryError
from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.explaining import named
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.prune_forms import MOST_ROWS, plan_json
from watchtower_agent.loop.prune_plans import Planned
from watchtower_agent.loop.readings import cut
from watchtower_agent.loop.setting_off import decision_of, result_of
from watchtower_agent.model.decision import Mode
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.problem import did_you_mean
from watchtower_agent.policies.pruned import plan_of
from watchtower_agent.policies.waiting import key_of
from watchtower_agent.state.engine_state import EngineState

_MOST_NAMED: Final = 10
"""Policies that are named."""
MOST_PLANS: Final = 50
"""Plans of one answer."""
_LONGEST_SENTENCE: Final = 300


def that_prune(pipeline: Pipeline, policy: str | None) -> tuple[Policy, ...]:
    """The policy of that name, or every policy that prunes.

    Raises:
        PermanentError: There is none, it prunes nothing, or it is off.
    """
    prune = tuple(each for each in pipeline.policies.policies if each.prune is not None)
    names = [each.name for each in prune]
    if policy is None:
        on = tuple(each for each in prune if each.mode is not Mode.OFF)
        if not on:
            raise PermanentError(f"{_none(names)}: write one with the key prune (docs/pruning.md)")
        return on[:MOST_PLANS]
    if names and all(each.name != policy for each in pipeline.policies.policies):
        raise PermanentError(f"there is no policy {policy[:60]!a}; of those that prune, {did_you_mean(policy, names)}")
    found, _ = named(pipeline, policy, None)
    if found.prune is None:
        which = f"those that do: {', '.join(names[:_MOST_NAMED])}" if names else _none(names)
        raise PermanentError(f"policy {policy} prunes nothing; {which}")
    if found.mode is Mode.OFF:
        raise PermanentError(f"policy {policy} is off: give it another mode first")
    return (found,)


def must_answer(engine: EngineState) -> None:
    """See that the engine can be asked what it keeps: one that hangs would be waited for, for minutes.

    Raises:
        TemporaryError: It can't be.
    """
    if not engine.connected:
        raise TemporaryError(f"the engine is not connected: {engine.last_error or 'not found yet'}; nothing is planned")
    if engine.responding is False:
        raise TemporaryError(
            "the engine does not answer; nothing is planned. Look at it, or wait until it does (status)"
        )


def _none(names: Sequence[str]) -> str:
    return "every policy that prunes is off" if names else "no policy prunes"


def alive(decisions: Decisions, policy: str, plan: str, now: Instant) -> Planned | str:
    """The plan of that id, or why there is none any more, in a sentence for people."""
    known = decisions.pruning.planning.plans.by.get(plan)
    if known is None or known.decision.policy != policy:
        return f"there is no plan {plan[:60]!a} of policy {policy[:60]} (any more)"
    if why := decisions.pruning.planning.no_plan(known.decision, now):
        return f"plan {plan[:60]!a} can't be carried out any more: {why}"
    return known if known.plan.items else f"plan {plan[:60]!a} deletes nothing"


def over(policy: str, plan: str, why: str, now: Instant) -> dict[str, object]:
    """A person wants a plan carried out that is over: nothing was done, and nothing will be."""
    return {"at": now.wall, "policy": policy, "plan": plan[:60], "result": "over", "reason": why}


def plans_json(
    plans: Sequence[Planned], decisions: Decisions, now: Instant, *, offset: int, limit: int
) -> dict[str, object]:
    """So many plans, each with a page of its objects, and what stands against carrying it out now."""
    limit = min(limit, MOST_ROWS // max(1, len(plans)))
    return {
        "at": now.wall,
        "limit": limit,
        "plans": [{**plan_json(each, offset, limit), "held": _held(each, decisions, now)} for each in plans],
    }


def _held(planned: Planned, decisions: Decisions, now: Instant) -> dict[str, object] | None:
    policy = decisions.policies.named(planned.decision.policy)
    held = None if policy is None else ask(decisions.evidence().about(planned.decision, policy, None, now))
    if held is None:
        return None
    return {
        "guard": held.guard.value,
        "reason": cut(held.reason, _LONGEST_SENTENCE),
        "release_at": held.release_at,
        "final": held.final,
    }


def became(planned: Planned, facts: Sequence[Fact], decisions: Decisions, now: Instant) -> dict[str, object]:
    """What became of a plan that a person wants carried out, in the step in which that was taken in.

    Args:
        planned: The plan.
        facts: All that happened in that step.
        decisions: As they are after it.
        now: The present.
    """
    decision = planned.decision
    mine = [fact for fact in facts if (about := decision_of(fact)) is not None and about.id == decision.id]
    waiting = decisions.agenda.waiting.get(key_of(decision))
    told = result_of(mine[-1] if mine else None, decisions, decision.policy, decision.target, tells=False)
    if waiting is not None and plan_of(waiting.decision) != planned.id:
        told["reason"] = cut(f"people are asked about an earlier plan: {told['reason']}", _LONGEST_SENTENCE)
    return {
        "at": now.wall,
        "policy": decision.policy,
        "plan": planned.id,
        "decision": decision.id,
        "correlation_id": decision.correlation_id,
        "target": decision.target.name,
        "verb": decision.verb.value,
        "expires_at": decision.expires_at,
        "approval": None if waiting is None else decisions.approving.approvals.asked_about(waiting.decision),
        **told,
    }

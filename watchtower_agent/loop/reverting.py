"""Limits that a person wants back: from the asking to the decision, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.loop import announcements
from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.forms import LONGEST_NAME, LONGEST_SENTENCE
from watchtower_agent.loop.readings import cut
from watchtower_agent.loop.setting_off import correlation_of, decision_of, result_of
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.policies.making import container_target
from watchtower_agent.policies.problem import did_you_mean
from watchtower_agent.policies.resizing.storing import finite
from watchtower_agent.policies.reverting import WayBack, no_room, revert_decision, ways_back, what_follows
from watchtower_agent.state.record import ContainerRecord

_MOST_POLICIES: Final = 10
"""Whose names are told."""


def changed_by(decisions: Decisions, record: ContainerRecord, policy: str | None, now: Instant) -> str:
    """Name of the policy whose changes of the container's limits a person wants undone.

    Args:
        decisions: What is known of limits.
        record: The container.
        policy: Its name, where the person gives it.
        now: The present.

    Raises:
        PermanentError: No limit is as a policy made it, several policies changed some, or memory can't be lowered now.
    """
    name = record.container.name[:LONGEST_NAME]
    if record.container.detail is None:
        raise PermanentError(f"the limits of {name} are not known yet: ask again in some seconds")
    found = _ways(decisions, record, now)
    if not found:
        raise PermanentError(
            f"no limit of {name} is as the agent made it: it changed none, or somebody has changed them since "
            "(what was changed some seconds ago may not be seen yet)"
        )
    if policy is not None and policy not in found:
        hint = did_you_mean(policy, sorted(found)[:_MOST_POLICIES])
        raise PermanentError(f"policy {policy[:60]!a} has changed no limit of {name}; {hint}")
    if policy is None and len(found) > 1:
        names = ", ".join(sorted(found)[:_MOST_POLICIES])
        raise PermanentError(f"several policies changed limits of {name} ({names}): name one with --policy")
    chosen = policy if policy is not None else next(iter(found))
    why = no_room({each.resource.value: each.parameter for each in found[chosen]}, record, decisions.state, now)
    if why:
        was = "; ".join(each.words for each in found[chosen])
        raise PermanentError(
            f"{name} is left as it is ({was}): {why}. Ask again once it uses less, or restart it first"
        )
    return chosen


def revert(asked: RevertAsked, decisions: Decisions, say: Callable[[Notice, Instant], None], now: Instant) -> None:
    """Want what a person asks for. Nothing, if the container or the changes have gone meanwhile."""
    record, ways = decisions.state.containers.get(asked.target_id), ways_of(asked, decisions, now)
    if record is None or not ways:
        return
    target = container_target(record)
    say(announcements.reverted(asked.policy, target.name, asked.correlation_id, now.wall), now)
    decisions.want([revert_decision(asked.policy, target, ways, asked.correlation_id, now)], now)


def became(
    asked: RevertAsked, ways: Sequence[WayBack], facts: Sequence[Fact], decisions: Decisions, now: Instant
) -> dict[str, object]:
    """What became of it in the step in which it was taken in, as a JSON object.

    Args:
        asked: What a person asked for.
        ways: Which limits were to go back.
        facts: All that happened in that step.
        decisions: As they are after it.
        now: The present.
    """
    mine = [fact for fact in facts if correlation_of(fact) == asked.correlation_id]
    record = decisions.state.containers.get(asked.target_id)
    told: dict[str, object] = {
        "at": now.wall,
        "policy": cut(asked.policy, LONGEST_NAME),
        "target": cut(record.container.name, LONGEST_NAME) if record is not None else "",
        "verb": Verb.RESIZE.value,
        "correlation_id": asked.correlation_id,
        "set_off": False,
    }
    if record is None or not any(isinstance(fact, Notice) for fact in mine):
        return told
    newest = next((fact for fact in reversed(mine) if _resizes(fact)), None)
    policy = decisions.policies.named(asked.policy)
    return told | {
        "set_off": True,
        "limits": [_way_json(each) for each in ways],
        "then": cut(what_follows(ways, policy, record), LONGEST_SENTENCE),
        **result_of(newest, decisions, asked.policy, container_target(record), tells=False),
    }


def ways_of(asked: RevertAsked, decisions: Decisions, now: Instant) -> tuple[WayBack, ...]:
    """Which limits would go back."""
    record = decisions.state.containers.get(asked.target_id)
    return () if record is None else _ways(decisions, record, now).get(asked.policy, ())


def _ways(decisions: Decisions, record: ContainerRecord, now: Instant) -> Mapping[str, tuple[WayBack, ...]]:
    """Policies that changed limits of it -> which can go back."""
    pasts = decisions.resizing.memory.pasts_of(record.container.name)
    found = {policy: ways_back(past, record, now) for policy, past in pasts.items()}
    return {policy: ways for policy, ways in found.items() if ways}


def _resizes(fact: Fact) -> bool:
    decision = decision_of(fact)
    return decision is not None and decision.verb is Verb.RESIZE


def _way_json(way: WayBack) -> dict[str, object]:
    """Bytes or cores; None is no limit."""
    return {"resource": way.resource.value, "limit": finite(way.current), "to": finite(way.to)}

"""What was begun is asked about once more, immediately before the write. Pure."""

from __future__ import annotations

from dataclasses import replace

from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.model.decision import Dropped, Held, Mode, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.obsolescence import in_doubt, obsolete
from watchtower_agent.policies.reverting import no_room
from watchtower_agent.policies.scaled import ends_of_clones
from watchtower_agent.policies.waiting import is_revert


def recheck(decisions: Decisions, intent: Intent, now: Instant) -> Held | Dropped | None:
    """Whether it is wanted still, and every guard once more, immediately before the write.

    The action itself does not count among those that were done. Only with this yes does the action begin: what
    happens to the target before, while the intent becomes durable or waits for its turn, is somebody else's doing,
    and is seen as that.

    Args:
        decisions: What is wanted and under way.
        intent: What is about to be done.
        now: The present.

    Returns:
        Held by a guard, or given up since it came too late; None: go on.
    """
    state = decisions.state
    waiting = decisions.under_way.trigger_of(intent.decision)
    decision = waiting.decision
    record = state.containers.get(decision.target.id)
    policy = decisions.answering(decision, record)
    fires = decisions.fires(now)
    if policy is None or policy.mode is Mode.OFF:
        why = f"policy {decision.policy} is not in force any more"
    else:
        why = obsolete(waiting, policy, state, now, fires)
        if not why and in_doubt(decision, fires):
            why = "it is not known at this moment whether its condition holds"
        if not why and decision.verb is Verb.SCALE and decisions.scaling.outdated(decision):
            why = "by the newest sample it needs another number"
        if not why and is_revert(decision):
            why = no_room(decision.parameters, record, state, now)
    if policy is None or why:
        return Dropped(decision=decision, reason=why, at=now.wall)
    decision = decisions.wishes.as_called_now(decision)
    evidence = replace(decisions.evidence(), cooldowns=Cooldowns())
    held = ask(evidence.about(decision, policy, record, now))
    if held is None:
        for each in (intent, *ends_of_clones(intent, state)):
            state.apply_intent(replace(each, at=now.wall))
    return held

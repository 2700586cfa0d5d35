"""Policies that would restart the engine, where that is never done. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import Policy


def restarts_in_vain(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    """With these settings the engine is not restarted, whatever the policy says."""
    if policy.then.verb is not Verb.RESTART_ENGINE:
        return
    if surroundings.engine_here is False:
        message = "engine.unit does not run this engine, or nobody says so: it is never restarted from here"
        remedy = "name its unit in engine.unit where it is a service of this host's own systemd, or use notify"
    elif surroundings.restart_engine is False:
        message = "with these settings the engine is not restarted (allow.restart_engine: false)"
        remedy = "set allow.restart_engine to true in agent.yaml (docs/service.md has the rest), or use notify"
    else:
        return
    yield Doubt(policy=policy, path=("then", "restart_engine"), message=message, remedy=remedy, at_key=True)

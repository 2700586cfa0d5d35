"""Actions after which their own condition is as true as before, so that they never end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.linter.afterwards import after, ends_or_begins
from watchtower_agent.policies.linter.doubt import Doubt, asked
from watchtower_agent.policies.linter.logic import about, cases, clash
from watchtower_agent.policies.policy import Policy, WhenTrigger

_NEEDED: Final = {
    Verb.STOP: 'status == "running"',
    Verb.KILL: 'status == "running"',
    Verb.PAUSE: 'status == "running"',
    Verb.UNPAUSE: 'status == "paused"',
    Verb.START: 'status == "exited"',
}
"""What ends the condition of such an action once it is done."""


def goes_on(policy: Policy) -> Iterator[Doubt]:
    """Thresholds that the action leaves, or brings, on their wrong side."""
    trigger, then = policy.trigger, policy.then
    if policy.selector is None or not isinstance(trigger, WhenTrigger) or then.verb is None or not ends_or_begins(then):
        return
    every = cases(asked(policy) or trigger.condition.tree)
    wait = max(trigger.hold, _cooldown(policy, then.verb))
    for case in (case for case in every or () if not clash(case)):
        for checked in (True, False):
            if not after(then, wait=wait, checked=checked).still(case):
                continue
            whose = "" if checked else ", of a container without a health check (its health is none)"
            yield Doubt(
                policy=policy,
                path=("when",),
                message=f"this is still true after each {then.verb}{whose}, so it is repeated again and again",
                remedy='write health == "unhealthy"' if not checked else _remedy(then.verb, case),
            )
            return


def _remedy(verb: Verb, case: object) -> str:
    if verb in _NEEDED:
        return f"add and {_NEEDED[verb]}"
    if isinstance(case, tuple) and next(about(case, "uptime"), None) is not None:
        return "ask for a longer uptime, not a shorter one, or write a longer cooldown"
    if isinstance(case, tuple) and any(next(about(case, name), None) for name in ("restarts", "restarts_by_agent")):
        return "ask how many there were of late, as in delta(restarts, 1h) > 3, or stop it instead"
    return "ask for something that a restart ends"


def _cooldown(policy: Policy, verb: Verb) -> float:
    return DEFAULT_COOLDOWN[verb] if policy.cooldown is None else policy.cooldown

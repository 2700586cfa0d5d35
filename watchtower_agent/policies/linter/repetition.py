"""Actions after which their own condition is as true as before, so that they never end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.linter.afterwards import after, after_having_run, ends_or_begins
from watchtower_agent.policies.linter.doubt import Doubt, asked
from watchtower_agent.policies.linter.logic import Case, about, cases, clash, limits
from watchtower_agent.policies.policy import Policy, WhenTrigger
from watchtower_agent.policies.wording import as_written

_NEEDED: Final = {
    Verb.STOP: 'status == "running"',
    Verb.KILL: 'status == "running"',
    Verb.PAUSE: 'status == "running"',
    Verb.UNPAUSE: 'status == "paused"',
    Verb.START: 'status == "exited"',
}
"""What ends the condition of such an action once it is done."""


_BRING_BACK: Final = frozenset({Verb.RESTART, Verb.START})


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
    if then.verb in _BRING_BACK and any(
        after(then, wait=wait, well=True).still(case) for case in every or () if not clash(case)
    ):
        yield Doubt(
            policy=policy,
            path=("when",),
            message=f"this is true again once a {then.verb} has helped, so it is repeated again and again",
            remedy='ask for what is wrong, as in health == "unhealthy"',
        )
        return
    yield from _too_soon_again(policy, [case for case in every or () if not clash(case)])


def _too_soon_again(policy: Policy, every: Iterable[Case]) -> Iterator[Doubt]:
    """A container that runs is restarted for having run: that is fine once a day, and not every minute."""
    trigger, then, budget = policy.trigger, policy.then, policy.budget
    if then.verb is not Verb.RESTART or not isinstance(trigger, WhenTrigger):
        return
    for case in every:
        least = limits(case, "uptime").low
        if next(about(case, "uptime"), None) is None or not any(
            after_having_run(then, least, well=well).still(case) for well in (False, True)
        ):
            continue
        apart = max(least + trigger.hold, _cooldown(policy, then.verb))
        waits = (max(apart, policy.backoff.longest_delay(attempts)) for attempts in range(1, budget.most + 1))
        if sum(waits) < budget.per:
            many = "1 action" if budget.most == 1 else f"{budget.most} actions"
            yield Doubt(
                policy=policy,
                path=("when",),
                message=f"{as_written(apart)} after each restart the next one is wanted, so it is repeated until its "
                f"breaker opens (budget: {many} within {as_written(budget.per)})",
                remedy='ask for what is wrong, as in health == "unhealthy", or for a longer uptime, as in uptime > 24h',
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

"""Everything that is doubtful about a folder's policies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchtower_agent.model.decision import Mode
from watchtower_agent.policies.linter.capacity import never_used_up
from watchtower_agent.policies.linter.contradiction import contradictions
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.engine import restarts_in_vain
from watchtower_agent.policies.linter.futility import always_true, never_known, never_let, never_true, stays_stopped
from watchtower_agent.policies.linter.growth import never_grows, never_idle, stays_at_none
from watchtower_agent.policies.linter.needless import does_nothing
from watchtower_agent.policies.linter.pruning import pruned_twice, prunes_in_vain
from watchtower_agent.policies.linter.repetition import goes_on
from watchtower_agent.policies.linter.rivalry import resized_twice
from watchtower_agent.policies.linter.shortfall import partly_known
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.linter.untimely import never_in_window
from watchtower_agent.policies.policy import Policy


def doubts(policies: Sequence[Policy], surroundings: Surroundings) -> Iterator[Doubt]:
    """What can't work, policy by policy, then what can't work together. Of policies that are off nothing is said."""
    in_force = [policy for policy in policies if policy.mode is not Mode.OFF]
    for policy in in_force:
        never = list(never_true(policy))
        yield from never
        yield from never_known(policy, surroundings)
        yield from partly_known(policy, surroundings)
        yield from never_let(policy, surroundings)
        yield from stays_stopped(policy)
        yield from never_used_up(policy, in_force, surroundings)
        yield from never_grows(policy)
        yield from never_idle(policy)
        yield from stays_at_none(policy)
        yield from prunes_in_vain(policy, surroundings)
        yield from restarts_in_vain(policy, surroundings)
        if not never:
            always = list(always_true(policy))
            repeated = always or list(goes_on(policy))
            yield from repeated or does_nothing(policy)
        yield from never_in_window(policy)
    yield from contradictions(in_force)
    yield from resized_twice(in_force)
    yield from pruned_twice(in_force)

"""What was done to whom, and when: what backoff and budgets count. Pure.

These are rows of the store's ledger, as far as they still count: nothing is counted that has no row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from watchtower_agent.model.decision import Decision, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Act

KEPT: Final = 86400.0
"""Seconds for which an action counts: no budget looks further back, and no backoff."""

MOST_KEPT: Final = 10_000
"""Actions that are remembered, as in the store: more within a day are counted by nobody who wants few."""

ATTEMPTS: Final = frozenset({Verb.RESTART, Verb.START})
"""Verbs that are to bring a target back: each that did not makes the next one wait longer."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget and its breaker are for: one target, or the whole host.

    Attributes:
        kind: Of what.
        name: The target's, so that a recreate changes nothing; empty for the host.
    """

    kind: TargetKind
    name: str = ""


HOST: Final = Scope(TargetKind.HOST)


def scopes_of(decision: Decision) -> tuple[Scope, ...]:
    """Whose budgets an action uses: the narrower one first."""
    if decision.target.kind is TargetKind.HOST:
        return (HOST,)
    return Scope(decision.target.kind, decision.target.name), HOST


@dataclass(slots=True)
class Ledger:
    """What was done, and since when a target's attempts are counted.

    Monotonic time decides, so a step of the wall clock neither frees a budget nor uses it up.
    """

    well: dict[str, Instant] = field(default_factory=dict)
    """When a target had last been well for long enough: attempts before that are forgotten."""
    _acts: dict[Scope, dict[str, Act]] = field(default_factory=dict)
    """By scope and id, in the order of `at`: what begins or ends goes to the end."""

    def resume(self, acts: Iterable[Act], well: Mapping[str, Instant]) -> None:
        """Take in what an earlier run did, on the clocks of this one."""
        for act in sorted(acts, key=lambda act: act.at.monotonic):
            self._enter(act)
        self.well.update(well)

    def began(self, decision: Decision, now: Instant) -> None:
        """An action begins: from here on it counts."""
        target = decision.target.name
        self._enter(Act(id=decision.id, policy=decision.policy, target=target, verb=decision.verb, at=now))

    def ended(self, decision: Decision, now: Instant) -> None:
        """It has ended, however."""
        act = self._leave(decision.target.name, decision.id)
        if act is not None:
            self._enter(replace(act, at=now))

    def abandoned(self, decision: Decision) -> None:
        """It was not tried after all."""
        self._leave(decision.target.name, decision.id)

    def begun(self, decision: Decision) -> Instant | None:
        """When that action began, or ended if it has; None while it has not begun."""
        act = self._acts.get(HOST, {}).get(decision.id)
        return None if act is None else act.at

    def newest(self, scope: Scope, most: int, since: float, *, other_than: str = "") -> list[Act]:
        """The newest actions there, newest first.

        Args:
            scope: Where.
            most: How many at most.
            since: Later than that, on the monotonic clock.
            other_than: Id of the decision that asks: once begun, it does not count itself.
        """
        found: list[Act] = []
        for act in reversed(self._acts.get(scope, {}).values()):
            if act.at.monotonic <= since or len(found) == most:
                break
            if act.id != other_than:
                found.append(act)
        return found

    def attempts(self, target: str, *, other_than: str = "") -> list[Act]:
        """The attempts to bring the target back since it had last been well for long enough, newest first."""
        since = self.well.get(target)
        scope, later = Scope(TargetKind.CONTAINER, target), -math.inf if since is None else since.monotonic
        every = len(self._acts.get(scope, ()))
        return [act for act in self.newest(scope, every, later, other_than=other_than) if act.verb in ATTEMPTS]

    def recovered(self, target: str, now: Instant) -> None:
        """It has been well for long enough: the next attempt is the first."""
        self.well[target] = now

    def tried(self) -> list[str]:
        """Targets that somebody tried to bring back, and that were not well for long enough since."""
        return [scope.name for scope in self._acts if scope != HOST and self.attempts(scope.name)]

    def forget(self, now: Instant) -> list[str]:
        """Forget what counts no more. Gives the targets of which `well` is told no more."""
        acts = list(self._acts.get(HOST, {}).values())
        for number, act in enumerate(acts):
            if now.monotonic - act.at.monotonic < KEPT and len(acts) - number <= MOST_KEPT:
                break
            self._leave(act.target, act.id)
        over = [target for target in self.well if Scope(TargetKind.CONTAINER, target) not in self._acts]
        for target in over:
            del self.well[target]
        return over

    def _enter(self, act: Act) -> None:
        for scope in (Scope(TargetKind.CONTAINER, act.target), HOST):
            self._acts.setdefault(scope, {})[act.id] = act

    def _leave(self, target: str, decision_id: str) -> Act | None:
        act = None
        for scope in (Scope(TargetKind.CONTAINER, target), HOST):
            acts = self._acts.get(scope, {})
            act = acts.pop(decision_id, None)
            if not acts:
                self._acts.pop(scope, None)
        return act

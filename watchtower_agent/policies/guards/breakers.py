"""Circuit breakers: closed, open, half-open with one probe. Pure.

A breaker opens when more is wanted than a budget allows. After a while it lets one action pass, the probe: once that
is verified the breaker closes, else it opens again, for twice as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.ledger import HOST, Scope, scopes_of
from watchtower_agent.policies.policy import Budget

LONGEST_WAIT: Final = 6 * 3600.0
"""Seconds after which a breaker lets a probe pass at the latest."""

LAPSE: Final = 86400.0
"""Seconds after which a breaker of which no probe was wanted closes by itself."""


class Phase(StrEnum):
    """What a breaker lets pass: all, nothing, one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The one action by which an open breaker finds out whether actions help again.

    Attributes:
        decision: What is tried.
        begun: When it began.
        ended: When its call returned: from then on it is verified; None before.
    """

    decision: Decision
    begun: Instant
    ended: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One that is not closed.

    Attributes:
        policy: By whose wish it opened.
        budget: Which was used up.
        times: How often it has opened since it was last closed.
        since: When it opened last.
        probe: What it has let pass since; None: nothing.
    """

    policy: str
    budget: Budget
    times: int = 1
    since: Instant
    probe: Probe | None = None

    @property
    def phase(self) -> Phase:
        """Open or half-open."""
        return Phase.OPEN if self.probe is None else Phase.HALF_OPEN

    @property
    def wait(self) -> float:
        """Seconds from its opening to its probe: twice as long each time."""
        doubled: float = self.budget.probe_after * 2.0 ** min(self.times - 1, 32)
        return min(LONGEST_WAIT, doubled)

    def left(self, now: Instant) -> float:
        """Seconds until it lets a probe pass; 0 when it does."""
        return max(0.0, self.wait - (now.monotonic - self.since.monotonic))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A breaker has changed.

    Attributes:
        scope: Whose.
        phase: What it is now.
        breaker: As it is now; of one that has closed, as it was.
        why: In few words for people; empty where there is nothing to tell.
        decision: What made it change; None when time did.
    """

    scope: Scope
    phase: Phase
    breaker: Breaker
    why: str
    decision: Decision | None = None

    @property
    def ends_in_a_stop(self) -> bool:
        """Whether the policy has a target stopped whose breaker has opened."""
        return self.phase is Phase.OPEN and self.scope != HOST and self.breaker.budget.stops and bool(self.why)


@dataclass(slots=True)
class Breakers:
    """Those that are not closed, and what has changed since somebody looked."""

    by: dict[Scope, Breaker] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    def open(self, scope: Scope, budget: Budget, decision: Decision, now: Instant, why: str) -> bool:
        """More is wanted than the budget allows. Says whether that is news."""
        if scope in self.by:
            return False
        breaker = Breaker(policy=decision.policy, budget=budget, since=now)
        self._turn(scope, breaker, why, decision)
        return True

    def began(self, decision: Decision, now: Instant) -> None:
        """An action begins: where a breaker is open it was let pass as its probe. A last resort is none."""
        if decision.last_resort:
            return
        for scope in scopes_of(decision):
            breaker = self.by.get(scope)
            if breaker is not None and breaker.probe is None:
                probing = replace(breaker, probe=Probe(decision=decision, begun=now))
                self._turn(scope, probing, f"one {decision.verb} of {decision.target.name} is tried", decision)

    def done(self, decision: Decision, now: Instant) -> None:
        """The engine has done what it was asked for: whether it helped is to be seen."""
        for scope, breaker, probe in self._probed_by(decision):
            self.by[scope] = replace(breaker, probe=replace(probe, ended=now))
            self.turns.append(Turn(scope=scope, phase=Phase.HALF_OPEN, breaker=self.by[scope], why=""))

    def failed(self, decision: Decision, now: Instant, why: str) -> None:
        """The probe was of no use: open again, for longer."""
        for scope, breaker, _ in self._probed_by(decision):
            again = replace(breaker, times=breaker.times + 1, since=now, probe=None)
            self._turn(scope, again, why, decision)

    def untried(self, decision: Decision) -> None:
        """The probe did not take place: the next action is."""
        for scope, breaker, _ in self._probed_by(decision):
            self.by[scope] = replace(breaker, probe=None)
            self.turns.append(Turn(scope=scope, phase=Phase.OPEN, breaker=self.by[scope], why=""))

    def close(self, scope: Scope, why: str, decision: Decision | None = None) -> None:
        """Everything passes again."""
        breaker = self.by.pop(scope, None)
        if breaker is not None:
            self.turns.append(Turn(scope=scope, phase=Phase.CLOSED, breaker=breaker, why=why, decision=decision))

    def verify(self, helped: Callable[[Probe], bool | None], now: Instant) -> None:
        """Look at every probe.

        Args:
            helped: Whether it did; None while that is not known.
            now: The present.
        """
        for scope, breaker in list(self.by.items()):
            probe = breaker.probe
            if probe is None or (answer := helped(probe)) is None:
                continue
            name = probe.decision.target.name
            if answer:
                self.close(scope, f"the {probe.decision.verb} of {name} helped", probe.decision)
            else:
                self.failed(probe.decision, now, f"the {probe.decision.verb} of {name} did not help")

    def lapse(self, now: Instant) -> None:
        """Close those of which no probe was wanted for so long."""
        for scope, breaker in list(self.by.items()):
            if breaker.probe is None and now.monotonic - breaker.since.monotonic > breaker.wait + LAPSE:
                self.close(scope, "nothing was wanted for a day")

    def _probed_by(self, decision: Decision) -> list[tuple[Scope, Breaker, Probe]]:
        return [
            (scope, breaker, breaker.probe)
            for scope, breaker in self.by.items()
            if breaker.probe is not None and breaker.probe.decision.id == decision.id
        ]

    def _turn(self, scope: Scope, breaker: Breaker, why: str, decision: Decision) -> None:
        self.by[scope] = breaker
        self.turns.append(Turn(scope=scope, phase=breaker.phase, breaker=breaker, why=why, decision=decision))

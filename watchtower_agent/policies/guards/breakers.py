"""Circuit breakers: closed, open, half-open with one probe. Pure.

A target's breaker, or the host's, opens when more is wanted than a budget allows; a policy's, when what it did was of
no use on too many targets. After a while it lets one action pass, the probe: once that is verified the breaker closes,
else it opens again, for twice as long.
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.futility import tells
from watchtower_agent.policies.guards.ledger import COUNTED, HOST, Scope, ScopeKind, policy_scope, scopes_of
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.policies.policy import Budget

LONGEST_WAIT: Final = 6 * 3600.0
"""Seconds after which a breaker lets a probe pass at the latest."""

PROBES_APART: Final = 60.0
"""Seconds from a probe that told nothing of the host to the host's next one."""

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
        retried: The budget for the target of a policy that had tried it before, to no lasting use: that this fails
            as well says something of the target, and nothing of policy or host. None: it had not been tried.
    """

    decision: Decision
    begun: Instant
    ended: Instant | None = None
    retried: Budget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One that is not closed.

    Attributes:
        policy: By whose wish it opened.
        budget: Which was used up.
        cause: Why it opened first, for people; empty where that is not known any more.
        times: How often it has opened since it was last closed.
        since: When it opened last.
        probe: What it has let pass since; None: nothing.
        told_nothing: When its last probe ended, if that left it as it was; None: it had none.
        digest: Of a policy's own: which policy that was. One of the same name that does something else is another.
    """

    policy: str
    budget: Budget
    cause: str = ""
    times: int = 1
    since: Instant
    probe: Probe | None = None
    told_nothing: Instant | None = None
    digest: str = ""

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
        left = max(0.0, self.wait - (now.monotonic - self.since.monotonic))
        if self.told_nothing is None:
            return left
        return max(left, PROBES_APART - (now.monotonic - self.told_nothing.monotonic))


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
    def is_of_a_target_that_opened(self) -> bool:
        """Whether a target's own breaker has opened, for the first time or again after its probe."""
        return self.phase is Phase.OPEN and self.scope.is_target and bool(self.why)


@dataclass(slots=True)
class Breakers:
    """Those that are not closed, and what has changed since somebody looked."""

    by: dict[Scope, Breaker] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    def open(
        self,
        scope: Scope,
        budget: Budget,
        decision: Decision,
        now: Instant,
        why: str,
        *,
        cause: str = "",
        digest: str = "",
    ) -> bool:
        """More is wanted than the budget allows, or it was of no use too often. Says whether that is news."""
        if scope in self.by:
            return False
        breaker = Breaker(policy=decision.policy, budget=budget, cause=cause, since=now, digest=digest)
        self._turn(scope, breaker, why, decision)
        return True

    def began(self, decision: Decision, now: Instant, *, retried: Budget | None = None) -> None:
        """An action begins: where a breaker is open it was let pass as its probe. A last resort is none.

        Args:
            decision: What begins.
            now: The present.
            retried: Its policy's budget, if the target was tried before and not well for long enough since.
        """
        if decision.last_resort or decision.verb not in COUNTED:
            return
        for scope in scopes_of(decision):
            breaker = self.by.get(scope)
            if scope.kind is ScopeKind.POLICY and not tells(decision):
                continue  # nothing of the policy can be seen by it
            if breaker is not None and breaker.probe is None:
                probing = replace(breaker, probe=Probe(decision=decision, begun=now, retried=retried))
                self._turn(scope, probing, f"one {decision.verb} of {decision.target.name} is tried", decision)

    def done(self, decision: Decision, now: Instant) -> None:
        """The engine has done what it was asked for: whether it helped is to be seen."""
        for scope, breaker, probe in self._probed_by(decision):
            self.by[scope] = replace(breaker, probe=replace(probe, ended=now))
            self.turns.append(Turn(scope=scope, phase=Phase.HALF_OPEN, breaker=self.by[scope], why=""))

    def failed(self, decision: Decision, now: Instant, why: str, *, shared_cause: bool = False) -> None:
        """The probe was of no use: open again, for longer. As before, where target or policy alone is to blame.

        Args:
            decision: The probe, if it is one.
            now: The present.
            why: In few words for people.
            shared_cause: Many containers fail at once: that says nothing of a policy.
        """
        probed = self._probed_by(decision)
        for scope, breaker, probe in probed:
            if scope.kind is ScopeKind.POLICY and shared_cause:
                self._as_before(scope, breaker, f"{why}; many fail at once, so", decision, now)
            elif not scope.is_target and probe.retried is not None:
                cause = f"the {decision.verb} of {decision.target.name}, which was tried before, did not help"
                self.open(scopes_of(decision)[0], probe.retried, decision, now, why, cause=cause)
                self._as_before(scope, breaker, f"{why}; it was tried before, so", decision, now)
            elif scope == HOST and any(each.kind is ScopeKind.POLICY for each, _, _ in probed):
                self._as_before(scope, breaker, f"{why}; the policy's own breaker is open, so", decision, now)
            else:
                self._again(scope, breaker, why, decision, now)

    def wanted_again(self, decision: Decision, probe_id: str, now: Instant, why: str) -> None:
        """What its policy's probe had done did not last: the policy's breaker opens again, for longer.

        Args:
            decision: What is wanted again.
            probe_id: Of the action that was done before.
            now: The present.
            why: In few words for people.
        """
        scope = policy_scope(decision.policy)
        breaker = self.by.get(scope)
        if breaker is not None and breaker.probe is not None and breaker.probe.decision.id == probe_id:
            self._again(scope, breaker, why, decision, now)

    def _again(self, scope: Scope, breaker: Breaker, why: str, decision: Decision, now: Instant) -> None:
        again = replace(breaker, times=breaker.times + 1, since=now, probe=None, told_nothing=None)
        self._turn(scope, again, why, decision)

    def _as_before(self, scope: Scope, breaker: Breaker, why: str, decision: Decision, now: Instant) -> None:
        whom = "this host" if scope == HOST else f"policy {scope.name}"
        as_before = replace(breaker, probe=None, told_nothing=now)
        self._turn(scope, as_before, f"{why} that tells nothing of {whom}", decision)

    def abandoned(self, decision: Decision) -> None:
        """It did not take place, or nothing can be told of it: where it was the probe, the next action is."""
        for scope, _, _ in self._probed_by(decision):
            self.untried(scope)

    def untried(self, scope: Scope) -> None:
        """Nothing can be told of that breaker's probe: the next action is."""
        self.by[scope] = replace(self.by[scope], probe=None)
        self.turns.append(Turn(scope=scope, phase=Phase.OPEN, breaker=self.by[scope], why=""))

    def close(self, scope: Scope, why: str, decision: Decision | None = None) -> None:
        """Everything passes again."""
        breaker = self.by.pop(scope, None)
        if breaker is not None:
            self.turns.append(Turn(scope=scope, phase=Phase.CLOSED, breaker=breaker, why=why, decision=decision))

    def allow(self, scope: Scope, budget: Budget, *, room: bool) -> None:
        """The budget is another one now: if it was raised, and has room, nothing is too much any more.

        Args:
            scope: Whose.
            budget: What it is now.
            room: Whether one more action would be within it.
        """
        breaker = self.by[scope]
        if breaker.probe is not None or breaker.budget == budget:
            return
        raised = budget.most > breaker.budget.most or budget.per < breaker.budget.per
        if scope.kind is ScopeKind.POLICY:
            raised = budget.in_vain > breaker.budget.in_vain or budget.per < breaker.budget.per
        if room and raised:
            self.close(scope, "the budget was raised")
            return
        self.by[scope] = replace(breaker, budget=budget)
        self.turns.append(Turn(scope=scope, phase=Phase.OPEN, breaker=self.by[scope], why=""))

    def helped(self, decision: Decision) -> None:
        """The probe did what it was for. Of a policy's that is to be seen: it has to last."""
        for scope, _, _ in self._probed_by(decision):
            if scope.kind is not ScopeKind.POLICY:
                self.close(scope, f"the {decision.verb} of {decision.target.name} helped", decision)

    def lasted(self, policy: str, target: str) -> None:
        """What that policy did to a target has lasted: its breaker closes, be it the probe or what had begun before."""
        breaker = self.by.get(policy_scope(policy))
        if breaker is not None:
            probe = breaker.probe.decision if breaker.probe is not None else None
            self.close(policy_scope(policy), f"what it did to {target} has lasted", probe)

    def renamed(self, rename: Rename, now: Instant) -> list[Scope]:
        """What is open for the old name is for the new one as well. Gives whose breakers have changed."""
        old, new = Scope(ScopeKind.CONTAINER, rename.old), Scope(ScopeKind.CONTAINER, rename.new)
        breaker, known, changed = self.by.get(old), self.by.get(new), []
        if breaker is None:
            return []
        if known is None or known.left(now) < breaker.left(now):
            self.by[new] = breaker
            changed.append(new)
        if any(self.by.get(Scope(ScopeKind.CONTAINER, name)) == breaker for name in rename.earlier):
            del self.by[old]
            changed.append(old)
        return changed

    def lapse(self, now: Instant) -> None:
        """Close those of which no probe was wanted for so long."""
        for scope, breaker in list(self.by.items()):
            if breaker.told_nothing is not None and now.monotonic - breaker.told_nothing.monotonic <= LAPSE:
                continue
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

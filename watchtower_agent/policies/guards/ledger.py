"""What was done to whom, and when: what backoff and budgets count. Pure.

These are rows of the store's ledger, as far as they still count: nothing is counted that has no row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Act
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.renames import Rename, Renames, Source

KEPT: Final = 86400.0
"""Seconds for which an action counts: no budget looks further back, and no backoff."""

MOST_KEPT: Final = 10_000
"""Actions that are remembered, as in the store: more within a day are counted by nobody who wants few."""

ATTEMPTS: Final = frozenset({Verb.RESTART, Verb.START})
"""Verbs that are to bring a target back: each that did not makes the next one wait longer."""


COUNTED: Final = frozenset(Verb) - {Verb.NOTIFY, Verb.SCALE, Verb.RESIZE, Verb.PRUNE, Verb.RESTART_ENGINE}
"""Verbs that budgets and breakers are about. Strategies, and restarts of the engine, have limits of their own, and use
up nobody else's."""


class ScopeKind(StrEnum):
    """Of what a budget and its breaker can be."""

    CONTAINER = "container"
    SERVICE = "service"
    POLICY = "policy"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget and its breaker are for: one target, whatever one policy does, or the whole host.

    Attributes:
        kind: Of what.
        name: The target's, so that a recreate changes nothing, or the policy's; empty for the host.
    """

    kind: ScopeKind
    name: str = ""

    @property
    def is_target(self) -> bool:
        """Whether it is that of one target."""
        return self.kind in {ScopeKind.CONTAINER, ScopeKind.SERVICE}


HOST: Final = Scope(ScopeKind.HOST)


def policy_scope(policy: str) -> Scope:
    """That of whatever one policy does."""
    return Scope(ScopeKind.POLICY, policy)


def scopes_of(decision: Decision) -> tuple[Scope, ...]:
    """Whose breakers an action has to pass: the narrower one first.

    What follows another container is not its policy's wish: it mends what was broken by that one's restart.
    """
    wide = (HOST,) if decision.follows else (policy_scope(decision.policy), HOST)
    kind = ScopeKind(decision.target.kind.value)
    return wide if kind is ScopeKind.HOST else (Scope(kind, decision.target.name), *wide)


@dataclass(slots=True)
class Ledger:
    """What was done, and since when a target's attempts are counted.

    Monotonic time decides, so a step of the wall clock neither frees a budget nor uses it up.
    """

    well: dict[str, Instant] = field(default_factory=dict)
    """When a target had last been well for long enough: attempts before that are forgotten."""
    renames: Renames = field(default_factory=Renames)
    """Under which names containers were counted before."""
    _acts: dict[str, dict[str, Act]] = field(default_factory=dict)
    """By the target's name (all of the host: by none) and id, in the order of `at`: what begins or ends goes to the
    end."""

    def resume(self, acts: Iterable[Act], well: Mapping[str, Instant]) -> None:
        """Take in what an earlier run did, on the clocks of this one."""
        for act in sorted(acts, key=lambda act: act.at.monotonic):
            if act.verb in COUNTED:
                self._enter(act)
        self.well.update(well)

    def began(self, decision: Decision, now: Instant) -> None:
        """An action begins: from here on it counts."""
        target = decision.target.name
        if decision.verb not in COUNTED:
            return
        self._enter(
            Act(
                id=decision.id,
                policy=decision.policy,
                target=target,
                target_id=decision.target.id,
                verb=decision.verb,
                at=now,
            )
        )

    def ended(self, decision: Decision, now: Instant) -> None:
        """It has ended, however."""
        act = self._leave(decision.target.name, decision.id)
        if act is not None:
            self._enter(replace(act, at=now))

    def judged(self, decision: Decision, *, helped: bool) -> None:
        """It is known whether it was of use."""
        for name in (decision.target.name, HOST.name):
            acts = self._acts.get(name, {})
            if decision.id in acts:
                acts[decision.id] = replace(acts[decision.id], helped=helped)

    def abandoned(self, decision: Decision) -> None:
        """It was not tried after all."""
        self._leave(decision.target.name, decision.id)

    def begun(self, decision: Decision) -> Instant | None:
        """When that action began, or ended if it has; None while it has not begun."""
        act = self._acts.get(HOST.name, {}).get(decision.id)
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
        for act in self._newest_first(scope):
            if act.at.monotonic <= since or len(found) == most:
                break
            if act.id != other_than:
                found.append(act)
        return found

    def attempts(self, target: str, *, other_than: str = "") -> list[Act]:
        """The attempts to bring the target back since it had last been well for long enough, newest first."""
        sources = self.renames.of(target)
        if not sources and target not in self._acts:
            return []  # as of most: hundreds may be asked about
        since = self.well.get(target) if not sources else None  # of each name it is another moment
        later = -math.inf if since is None else since.monotonic
        found = self.newest(Scope(ScopeKind.CONTAINER, target), MOST_KEPT, later, other_than=other_than)
        return [act for act in found if act.verb in ATTEMPTS and not (sources and self._is_forgotten(act, target))]

    def _is_forgotten(self, act: Act, target: str) -> bool:
        """Whether that attempt was followed by a time in which its container was well for long enough."""
        source, well = self.renames.of(target).get(act.target), self.well.get(target)
        if source is not None and (well is None or well.monotonic <= source.until.monotonic):
            well = source.well
        return well is not None and act.at.monotonic <= well.monotonic

    def _newest_first(self, scope: Scope) -> Iterable[Act]:
        if scope.kind is not ScopeKind.CONTAINER and scope != HOST:
            return ()
        own = self._acts.get(scope.name, {})
        sources = self.renames.of(scope.name)
        if not sources:
            return reversed(own.values())
        every = own | {act.id: act for source in sources.values() for act in self._taken_over(source)}
        return sorted(every.values(), key=lambda act: act.at.monotonic, reverse=True)

    def _taken_over(self, source: Source) -> Iterator[Act]:
        for act in self._acts.get(source.name, {}).values():
            if act.at.monotonic <= source.until.monotonic or act.target_id == source.container_id:
                yield act

    def renamed(self, rename: Rename, now: Instant, *, else_known: bool) -> list[str]:
        """What was done under the old name counts under the new one as well.

        Args:
            rename: Of a container.
            now: The present.
            else_known: Whether anything but what was done is known under the old name.

        Returns:
            The names of which other earlier names are known now.
        """
        own = else_known or rename.old in self._acts
        if not own and not self.renames.of(rename.old):
            return []
        changed = self.renames.take(rename, self.well.get(rename.old), now, own=own)
        if rename.earlier and not own:
            changed += self.renames.drop(rename.old)
        return changed

    def recovered(self, target: str, now: Instant) -> None:
        """It has been well for long enough: the next attempt is the first."""
        self.well[target] = now

    def tried(self) -> list[str]:
        """Targets that somebody tried to bring back, and that were not well for long enough since."""
        names = dict.fromkeys(self._acts) | dict.fromkeys(self.renames.by)
        return [name for name in names if name != HOST.name and self.attempts(name)]

    def forget(self, now: Instant) -> list[str]:
        """Forget what counts no more. Gives the targets of which `well` is told no more."""
        acts = list(self._acts.get(HOST.name, {}).values())
        for number, act in enumerate(acts):
            if now.monotonic - act.at.monotonic < KEPT and len(acts) - number <= MOST_KEPT:
                break
            self._leave(act.target, act.id)
        named = self.renames.by
        over = [each for each in self.well if each not in self._acts and each not in named]
        for target in over:
            del self.well[target]
        return over

    def _enter(self, act: Act) -> None:
        for name in (act.target, HOST.name):
            self._acts.setdefault(name, {})[act.id] = act

    def _leave(self, target: str, decision_id: str) -> Act | None:
        act = None
        for name in (target, HOST.name):
            acts = self._acts.get(name, {})
            act = acts.pop(decision_id, None)
            if not acts:
                self._acts.pop(name, None)
        return act

"""Of which targets what a policy did was of no use: what its own breaker goes by. Pure.

A policy that is wrong, be it by its threshold or since nothing that it does can help, goes from one target to the next,
each within its budget. That the engine did what it was asked for tells nothing then, nor that the container is well:
what counts is whether the policy goes on wanting it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Any, Final

from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.ledger import ATTEMPTS, COUNTED, Ledger
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.policies.policy import OnTrigger, Policy, WhenTrigger
from watchtower_agent.policies.waiting import BY_HAND

UNTOLD_AFTER: Final = 300.0
"""Seconds beyond the time by which it should be known whether an action lasts, for which that is waited for."""


class Use(StrEnum):
    """What came of a policy's newest action on a target."""

    IN_VAIN = "in_vain"
    STANDS = "stands"
    """It has helped, as far as one can see; whether that lasts is to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is known of what a policy did to a target.

    Attributes:
        decision_id: The newest action of which that is known.
        verb: What was done.
        use: What came of that one.
        since: Since when nothing is wanted of the target that stands; of what is in vain, when that was known.
        wanted: Something was wanted of it when that was looked at last.
        in_vain: When it was known last that it was of no use there, by the newest action or one before; None: it never
            was, as far as that counts.
        digest: Which policy that was. One of the same name that does something else is another.
        target_id: Of the container that was acted on.
        started: When the life of it began that the action gave it, seconds since the epoch; None where that is unknown.
    """

    decision_id: str
    verb: str
    use: Use
    since: Instant
    wanted: bool = False
    in_vain: Instant | None = None
    digest: str = ""
    target_id: str = ""
    started: float | None = None


def tells(decision: Decision) -> bool:
    """Whether it can be seen by an action if its policy is of use.

    What follows another container is restarted for that one's sake, and a person knows why: neither shows a thing.
    """
    by_itself = not decision.follows and BY_HAND not in decision.numbers
    return by_itself and not decision.last_resort and decision.verb in COUNTED


@dataclass(slots=True)
class Futility:
    """The marks of all policies, by policy and target.

    Attributes:
        by: Policy -> target's name -> what came of what it did there.
        changed: Policies and targets of which something has changed since somebody looked.
    """

    by: dict[str, dict[str, Mark]] = field(default_factory=dict)
    changed: set[tuple[str, str]] = field(default_factory=set)

    def judged(
        self, decision: Decision, use: Use, now: Instant, *, digest: str = "", started: float | None = None
    ) -> None:
        """It is known what came of an action that tells it. That one before was in vain is not forgotten for that.

        Args:
            decision: What was done.
            use: What came of it.
            now: The present.
            digest: Which policy that was.
            started: When its container's present life began, seconds since the epoch.
        """
        before = self.of(decision)
        known = before.in_vain if before is not None and before.digest == digest else None
        mark = Mark(
            decision_id=decision.id,
            verb=decision.verb.value,
            use=use,
            since=now,
            in_vain=now if use is Use.IN_VAIN else known,
            digest=digest,
            target_id=decision.target.id,
            started=started,
        )
        self._put(decision.policy, decision.target.name, mark)

    def of(self, decision: Decision) -> Mark | None:
        """What is known of what the policy did to that target before; None where nothing is."""
        return self.by.get(decision.policy, {}).get(decision.target.name)

    def wanted_again(self, decision: Decision, policy: Policy, now: Instant) -> bool:
        """The policy wants a target anew on which what it did seemed to help: it did not. Says whether that is news."""
        known = self.of(decision)
        if known is None or known.use is not Use.STANDS or known.decision_id == decision.id:
            return False
        # That an event comes again tells it of what is to bring a target back alone.
        triggers = WhenTrigger if decision.verb not in ATTEMPTS else (WhenTrigger, OnTrigger)
        if decision.last_resort or not isinstance(policy.trigger, triggers):
            return False
        self._put(policy.name, decision.target.name, replace(known, use=Use.IN_VAIN, since=now, in_vain=now))
        return True

    def in_vain(self, policy: str) -> list[str]:
        """Names of the targets on which what it did lately was of no use, in the order in which that was known."""
        marks = self.by.get(policy, {}).items()
        return [name for _, name in sorted((mark.in_vain.monotonic, name) for name, mark in marks if mark.in_vain)]

    def is_too_much(self, policy: Policy) -> bool:
        """Whether it was of no use on as many targets as its budget allows, and on most of all."""
        marks = self.by.get(policy.name, {})
        in_vain = len(self.in_vain(policy.name))
        return in_vain >= policy.budget.in_vain and in_vain > len(marks) - in_vain

    def standing(self, decision: Decision) -> bool:
        """Whether it is to be seen of that action still if it lasts, whatever its target is called by now."""
        marks = self.by.get(decision.policy, {}).values()
        return any(mark.decision_id == decision.id and mark.use is Use.STANDS for mark in marks)

    def look(
        self,
        policy: Policy,
        ledger: Ledger,
        is_well: Callable[[Mark], bool],
        wanted: Container[str],
        now: Instant,
        *,
        shared_cause: bool,
    ) -> list[str]:
        """See what has lasted, and forget what counts no more.

        One action that lasts tells that the policy does work: all that was in vain before is forgotten.

        Args:
            policy: Whose actions.
            ledger: What was done, and since when targets had been well for long enough.
            is_well: Whether the container is well now, in the life that the action gave it.
            wanted: Names of the targets of which the policy wants something, whatever holds that.
            now: The present.
            shared_cause: Many containers have failed at once: what is wanted now, is wanted for that.

        Returns:
            The targets on which what it did has lasted.
        """
        lasted = []
        for target, mark in list(self.by.get(policy.name, {}).items()):
            seen: Mark | None = _still_in_vain(mark, policy, now)
            if seen is not None and seen.use is Use.STANDS:
                if (target in wanted) is not seen.wanted:
                    seen = replace(seen, wanted=not seen.wanted, since=now)
                if _has_lasted(target, seen, policy, ledger, is_well, now):
                    lasted.append(target)
                    seen = None
                elif _is_untold(seen, policy, is_well, now) or (seen.wanted and shared_cause):
                    seen = replace(seen, use=Use.IN_VAIN, since=seen.in_vain) if seen.in_vain is not None else None
            if seen is not mark:
                self._put(policy.name, target, seen)
        if lasted:
            self._works(policy.name)
        return lasted

    def excuse(self, target_ids: Container[str], since: float) -> None:
        """One cause was behind the troubles of these: what was in vain there since then tells nothing of any policy.

        Args:
            target_ids: Of containers.
            since: A moment of the monotonic clock.
        """
        for policy, marks in list(self.by.items()):
            for target, mark in list(marks.items()):
                counts = mark.in_vain is not None and mark.in_vain.monotonic >= since
                if counts and mark.target_id in target_ids:
                    self._put(policy, target, replace(mark, in_vain=None) if mark.use is Use.STANDS else None)

    def _works(self, policy: str) -> None:
        """It is of use: nothing counts that was in vain."""
        for target, mark in list(self.by.get(policy, {}).items()):
            if mark.in_vain is not None:
                self._put(policy, target, replace(mark, in_vain=None) if mark.use is Use.STANDS else None)

    def follow(self, policy: str, digest: str | None) -> None:
        """Which policy has that name now, None where none has: what another one did tells nothing of it."""
        for target, mark in list(self.by.get(policy, {}).items()):
            if mark.digest != digest:
                self._put(policy, target, None)

    def renamed(self, rename: Rename) -> None:
        """What is known of a target goes along to its new name."""
        for policy, marks in list(self.by.items()):
            if rename.old in marks:
                self._put(policy, rename.new, marks[rename.old])
                self._put(policy, rename.old, None)

    def stored(self, policy: str, target: str) -> Mapping[str, object] | None:
        """As the store keeps it; None where nothing is known."""
        mark = self.by.get(policy, {}).get(target)
        if mark is None:
            return None
        return {
            "decision": mark.decision_id,
            "verb": mark.verb,
            "use": mark.use.value,
            "since": mark.since.stored(),
            "wanted": mark.wanted,
            "in_vain": None if mark.in_vain is None else mark.in_vain.stored(),
            "digest": mark.digest,
            "target_id": mark.target_id,
            "started": mark.started,
        }

    def resume(
        self, policy: str, target: str, stored: Mapping[str, Any], carried: Callable[[Instant], Instant]
    ) -> None:
        """Take in what the store remembers of an earlier run; what can't be read is left out."""
        try:
            since, started = Instant.restored(stored["since"]), stored["started"]
            in_vain = None if stored["in_vain"] is None else Instant.restored(stored["in_vain"])
            if since is None:
                return
            mark = Mark(
                decision_id=str(stored["decision"]),
                verb=str(stored["verb"]),
                use=Use(stored["use"]),
                since=carried(since),
                wanted=stored["wanted"] is True,
                in_vain=None if in_vain is None else carried(in_vain),
                digest=str(stored["digest"]),
                target_id=str(stored["target_id"]),
                started=None if started is None else float(started),
            )
        except (KeyError, TypeError, ValueError):
            return
        self.by.setdefault(policy, {})[target] = mark

    def _put(self, policy: str, target: str, mark: Mark | None) -> None:
        marks = self.by.setdefault(policy, {})
        if mark is None:
            marks.pop(target, None)
        else:
            marks[target] = mark
        if not marks:
            del self.by[policy]
        self.changed.add((policy, target))


def known_after(policy: Policy) -> float:
    """Seconds after which an action of it has lasted: it could have been wanted again meanwhile, and was not."""
    return policy.backoff.reset_after + _hold(policy)


def counted_for(policy: Policy) -> float:
    """Seconds for which it counts that an action was of no use. It takes the time of `for` to see that once more."""
    return policy.budget.per + _hold(policy)


def _hold(policy: Policy) -> float:
    return policy.trigger.hold if isinstance(policy.trigger, WhenTrigger) else 0.0


def _still_in_vain(mark: Mark, policy: Policy, now: Instant) -> Mark | None:
    """As it counts now: that it was of no use is forgotten in the end. None where nothing is left of it."""
    if mark.in_vain is None or now.monotonic - mark.in_vain.monotonic <= counted_for(policy):
        return mark
    return replace(mark, in_vain=None) if mark.use is Use.STANDS else None


def _has_lasted(
    target: str, mark: Mark, policy: Policy, ledger: Ledger, is_well: Callable[[Mark], bool], now: Instant
) -> bool:
    if mark.wanted or now.monotonic - mark.since.monotonic < known_after(policy):
        return False
    return mark.verb not in ATTEMPTS or (is_well(mark) and not ledger.attempts(target))


def _is_untold(mark: Mark, policy: Policy, is_well: Callable[[Mark], bool], now: Instant) -> bool:
    """Whether nothing can be told of it any more: it is sick, was stopped or removed, or has another life."""
    if mark.wanted or is_well(mark):
        return False
    return now.monotonic - mark.since.monotonic > known_after(policy) + UNTOLD_AFTER

"""The agent's own changes of a service's number: what each explains of what is seen, when the next may come. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop.scaled_service import EXPLAINS_FOR, MISSED, OwnChange, Scaled
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import FORBIDDEN, Intent, Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import Backoff
from watchtower_agent.policies.scaled import TO
from watchtower_agent.policies.survey import Survey, Unseen
from watchtower_agent.state.attribution import HANDS_OFF

_TRIES: Final = 3
"""Changes in a row to which somebody else's may come first, each decided again, until it is waited for longer."""
_RETRIES: Final = Backoff(initial=30.0, longest=900.0)
"""The waits after changes that failed: a replica that never gets well would be made again and again."""


@dataclass(slots=True)
class OwnChanges:
    """From the decision to the moment when what it did has been seen for sure.

    Attributes:
        by: Name of the policy -> its service, which is changed in place.
        interval: Seconds between samples.
    """

    by: Mapping[str, Scaled]
    interval: float
    _interrupted: list[Intent] = field(default_factory=list)

    def resume(self, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what an earlier run began and did not end."""
        self._interrupted = [each for each in interrupted if each.decision.verb is Verb.SCALE]
        for intent in self._interrupted:
            self._expect(intent.decision, until=now.monotonic + self._explains_for)

    def begins(self, decision: Decision) -> None:
        """The agent is about to change a service: that change is nobody else's."""
        self._expect(decision, until=math.inf)

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """It has ended, however."""
        known = self.by.get(outcome.decision.policy)
        if known is None:
            return
        known.ended = now.monotonic
        conflict = bool(outcome.numbers.get("conflict"))
        known.own = self._after(known, known.own, outcome, now) if known.own is not None else None
        known.conflicts = known.conflicts + 1 if conflict else 0
        if outcome.result is Result.SUCCEEDED:
            known.failures, known.retry_at, known.failed = 0, -math.inf, ""
        elif outcome.result is Result.FAILED and (not conflict or known.conflicts >= _TRIES):
            known.conflicts, known.failures, known.failed = 0, known.failures + 1, outcome.reason
            known.growth_failed = "add" in outcome.decision.parameters
            # Who is not let through is not a moment later: people are told seldom, by tries that can't succeed.
            seldom = FORBIDDEN in outcome.numbers
            wait = _RETRIES.longest if seldom else _RETRIES.delay(known.failures, outcome.decision.id)
            known.retry_at = now.monotonic + wait

    def interrupted(self, now: Instant) -> Iterator[Outcome]:
        """What became of those that an earlier run began and did not end, as far as the services tell by now."""
        for intent in list(self._interrupted):
            known = self.by.get(intent.decision.policy)
            seen = known.seen if known is not None else Unseen(why="no policy scales it any more")
            if isinstance(seen, Unseen) and known is not None:
                continue
            self._interrupted.remove(intent)
            yield _as_seen(intent, seen, now)

    def _expect(self, decision: Decision, *, until: float) -> None:
        known, parameters = self.by.get(decision.policy), decision.parameters
        before, to = parameters.get("from"), parameters.get(TO)
        if known is not None and isinstance(to, int) and isinstance(before, int):
            version = parameters.get("version")
            known.own = OwnChange(
                before=before,
                to=to,
                version=version if isinstance(version, int) else -1,
                decision=decision.id,
                until=until,
            )

    def _after(self, known: Scaled, own: OwnChange, outcome: Outcome, now: Instant) -> OwnChange | None:
        """What the change, of which the outcome is known, still explains."""
        if outcome.numbers.get("conflict") or outcome.result is Result.ABANDONED:
            if known.memory.wanted not in {None, own.before} and own.version >= 0:
                known.hands_off_until = now.monotonic + HANDS_OFF  # what was seen meanwhile was somebody else's
            return None  # nothing of it was done
        made = tuple(each for each in str(outcome.numbers.get("clones") or "").split(",") if each)
        done = outcome.result is Result.SUCCEEDED
        # Of one that failed a part may be done.
        return replace(own, done=done, made=made, until=now.monotonic + self._explains_for)

    @property
    def _explains_for(self) -> float:
        """Seconds after the end of our own change until it has been seen for sure."""
        return max(EXPLAINS_FOR, MISSED * self.interval)


def _as_seen(intent: Intent, seen: Survey | Unseen, now: Instant) -> Outcome:
    decision = intent.decision
    if isinstance(seen, Unseen):
        reason, numbers = f"the agent ended before it knew: {seen.why}", {}
    else:
        there = seen.situation.wanted
        done = there == decision.parameters.get(TO)
        what = "the engine did it" if done else f"the engine did not do it, or somebody changed it since: {there} now"
        reason, numbers = f"the agent ended before it knew: {what}", {"replicas.wanted": there, "engine_did_it": done}
    return Outcome(
        decision=decision,
        result=Result.INTERRUPTED,
        reason=reason,
        started_at=intent.at,
        finished_at=now.wall,
        numbers=numbers,
    )

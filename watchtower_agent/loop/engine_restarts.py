"""Restarts of the engine: how many there were, remembered, and what became of one that a crash cut short. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.circumstances import ENGINE_RESTARTS, Circumstances
from watchtower_agent.policies.guards.passes import Passes
from watchtower_agent.state.host_state import HostState

KIND: Final = "engine_restarts"
"""Of the records that the store keeps."""
_WAITED_FOR: Final = 180.0
"""Seconds in which an engine answers again after a restart that the agent did not see the end of."""


@dataclass(slots=True)
class EngineRestarts:
    """Counts them, over restarts of the agent.

    Attributes:
        state: The host.
        publication: What is to be remembered goes into its effects of the step.
        circumstances: Where guards find them.
    """

    state: HostState
    publication: Publication
    circumstances: Circumstances
    _interrupted: list[tuple[Intent, Instant]] = field(default_factory=list)
    """What an earlier run began, and when this one began to wait for its end."""

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what the store remembers of an earlier run, and what that had begun."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        known = resume.records.get(KIND, {}).get(ENGINE_RESTARTS, {}).get("begun")
        for each in known if isinstance(known, list) else ():
            at = Instant.restored(each) if isinstance(each, Mapping) else None
            if at is not None:
                self._restarts.began(ENGINE_RESTARTS, str(each.get("decision", "")), boots.carried(at, now))
        ours = [each for each in interrupted if each.decision.verb is Verb.RESTART_ENGINE]
        self._interrupted = [(intent, now) for intent in ours]

    def begins(self, decision: Decision, now: Instant) -> None:
        """It is about to be done: it counts from here on, so that it does after a crash as well."""
        if decision.verb is Verb.RESTART_ENGINE:
            self._restarts.began(ENGINE_RESTARTS, decision.id, now)
            self.remember_again()

    def ended(self, outcome: Outcome) -> None:
        """What was not even asked for does not count."""
        if outcome.decision.verb is Verb.RESTART_ENGINE and outcome.result is Result.ABANDONED:
            self._restarts.undone(ENGINE_RESTARTS, outcome.decision.id)
            self.remember_again()

    def interrupted(self, now: Instant) -> Iterator[Outcome]:
        """What became of those that an earlier run began, once that can be told."""
        engine = self.state.engine
        for intent, since in list(self._interrupted):
            answers = engine.connected and engine.responding is not False
            if not answers and now.passed_since(since) < _WAITED_FOR:
                continue
            self._interrupted.remove((intent, since))
            then = "the engine answers" if answers else "the engine does not answer since"
            yield Outcome(
                decision=intent.decision,
                result=Result.INTERRUPTED,
                reason=f"the agent ended while it restarted the engine: {then}",
                started_at=intent.at,
                finished_at=now.wall,
                numbers={"engine_answers": answers},
            )

    def remember_again(self) -> None:
        """Put what must be known into the store."""
        begun = [{"decision": each, **at.stored()} for each, at in self._restarts.by.get(ENGINE_RESTARTS, [])]
        if self._restarts.by:
            self.publication.out.records.append(Record(kind=KIND, key=ENGINE_RESTARTS, value={"begun": begun}))

    @property
    def _restarts(self) -> Passes:
        return self.circumstances.engine_restarts

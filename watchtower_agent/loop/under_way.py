"""What is being done: intents without an outcome, and what triggered them, remembered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field

from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.settling import Settling
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.waiting import Waiting, moved, restored, waiting_json
from watchtower_agent.state.host_state import HostState

KIND = "begun"
"""Of the records that the store keeps."""


@dataclass(slots=True)
class UnderWay:
    """Never two actions on one target.

    Attributes:
        publication: What is to be remembered goes into its effects of the step.
        settling: Those of which no answer came.
    """

    publication: Publication
    settling: Settling
    _open: dict[str, Intent] = field(default_factory=dict)
    """Target id -> what the engine is asked for."""
    _begun: dict[str, Waiting] = field(default_factory=dict)
    """Decisions from events, by id, with what triggered them: an action that was not carried out after all is wanted
    still."""

    @classmethod
    def of(
        cls,
        state: HostState,
        publication: Publication,
        *,
        ended: Callable[[Outcome, Instant], None],
        wanted_again: Callable[[Decision, Waiting | None, Instant], None],
    ) -> UnderWay:
        """Nothing is under way yet.

        Args:
            state: The host.
            publication: Where what is to be remembered goes.
            ended: Takes the outcome of an action without an answer, once it is known.
            wanted_again: Takes what was wanted and not done, with what triggered it.
        """
        begun: dict[str, Waiting] = {}
        return cls(publication, Settling(state, begun, ended, wanted_again), _begun=begun)

    def resume(self, resume: Resume, now: Instant, then: float) -> None:
        """Take in what had been begun by an earlier run; `then` is the present on its wall clock."""
        for decision_id, stored in resume.records.get(KIND, {}).items():
            begun = restored(stored, now, then)
            if begun is not None:
                self._begun[decision_id] = begun

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: what is wanted again waits for as long as before."""
        self.settling.clock_stepped(step)
        for key, begun in self._begun.items():
            self._begun[key] = moved(begun, step)
            self._remember(key)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for key in self._begun:
            self._remember(key)
        self.publication.out.intents_again.extend(self._every())

    def begins(self, waiting: Waiting, intent: Intent) -> None:
        """The engine is about to be asked."""
        decision = waiting.decision
        self._open[decision.target.id] = intent
        if decision.from_event:
            self._begun[decision.id] = waiting
            self._remember(decision.id)

    def unsettled(self, call: Unsettled, now: Instant) -> None:
        """A call ended without telling what became of its target."""
        self._close(call.intent.decision)
        self.settling.unsettled(call, now)

    def ended(self, decision: Decision) -> Waiting | None:
        """It is over. Gives what triggered it, of one from an event."""
        self._close(decision)
        waiting = self._begun.pop(decision.id, None)
        if waiting is not None:
            self._remember(decision.id)
        return waiting

    def _close(self, decision: Decision) -> None:
        """Unless another is under way there: of one that a crash cut short it may be told late how it ended."""
        target_id = decision.target.id
        if target_id in self._open and self._open[target_id].decision.id == decision.id:
            del self._open[target_id]

    def trigger_of(self, decision: Decision) -> Waiting:
        """The decision as it waited before it was begun."""
        return self._begun.get(decision.id) or Waiting(decision=decision, since=decision.decided_at)

    def on(self, target_id: str) -> Intent | None:
        """What is being done to that target, if anything."""
        return self._open.get(target_id) or self.settling.intents.get(target_id)

    def about(self, container_id: str) -> bool:
        """Whether anything is being done to that container. To the host, which has no id, all may be done at once."""
        return bool(container_id) and (container_id in self._open or self.settling.about(container_id))

    def busy(self, target: Target) -> bool:
        """Whether anything is being done to that target."""
        return self.about(target.id)

    def acts(self, policy: str) -> bool:
        """Whether an action of that policy is under way."""
        return any(intent.decision.policy == policy for intent in self._every())

    @property
    def targets(self) -> set[str]:
        """Ids of the targets. To the host, which has no id, all may be done at once."""
        return (self._open.keys() | self.settling.intents.keys()) - {""}

    @property
    def ids(self) -> set[str]:
        """Of the decisions."""
        return {intent.decision.id for intent in self._every()}

    def _every(self) -> Iterator[Intent]:
        yield from self._open.values()
        yield from self.settling.intents.values()

    def _remember(self, decision_id: str) -> None:
        waiting = self._begun.get(decision_id)
        value = None if waiting is None else waiting_json(waiting)
        self.publication.out.records.append(Record(kind=KIND, key=decision_id, value=value))

"""Actions without an answer, from the doubt to the outcome: what did the engine do, and is it wanted still? Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.making import PENDING_FOR
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.interrupted import Interrupted, deadline
from watchtower_agent.state.own_action import ASKED_AT_ONCE

_ASKED_SOON = 2.0
"""Seconds from the intent to the first of its doings, where the engine was asked for sure. It may be busy."""


@dataclass(slots=True)
class Settling:
    """Finds out about actions that a crash of the agent interrupted, and about calls that told nothing.

    Attributes:
        state: The host.
        begun: Decisions from events under way, by id, with what triggered them.
        ended: Takes an outcome.
        wanted_again: Takes what is wanted still, with what triggered it.
    """

    state: HostState
    begun: Mapping[str, Waiting]
    ended: Callable[[Outcome, Instant], None]
    wanted_again: Callable[[Decision, Waiting | None, Instant], None]
    _interrupted: Interrupted = field(default_factory=Interrupted)

    def resume(self, intents: Sequence[Intent], then: float) -> None:
        """Take in what an earlier run began and did not end; `then` is the present on its wall clock."""
        for intent in intents:
            container = self._container(intent)
            self._interrupted.add(intent, then, container)
            self.state.apply_intent(intent, until=deadline(intent, container))

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: the engine has as long as before."""
        self._interrupted.clock_stepped(step)

    @property
    def intents(self) -> Mapping[str, Intent]:
        """Target id -> what is not settled yet."""
        return self._interrupted.intents

    def about(self, target_id: str) -> bool:
        """Whether something about that target is not settled yet."""
        return target_id in self._interrupted

    def due(self, now: Instant) -> list[str]:
        """Targets to inspect, since only time tells."""
        return self._interrupted.due(now.wall)

    def unsettled(self, call: Unsettled, now: Instant) -> None:
        """A call ended without telling what became of its target."""
        self._interrupted.unsettled(call, now.wall, self._container(call.intent))

    def engine_is_back(self, now: Instant) -> None:
        """It was away or frozen, or events of it were lost: it may do only now what it was asked for before."""
        self._interrupted.engine_is_back(now.wall)

    def gone(self, container_id: str, now: Instant) -> None:
        """A container is not there any more: what was not settled about it is over."""
        if self.about(container_id):
            self.settle(
                ContainerObserved(container_id=container_id, container=None, after_position=0, at=now.wall), now
            )

    def settle(self, seen: ContainerObserved, now: Instant) -> None:
        """What became of an action, as far as an inspection tells."""
        settled = self._interrupted.resolve(seen, now.wall)
        if settled is None:
            return
        outcome, decision = settled.outcome, settled.outcome.decision
        waiting = self.begun.get(decision.id)
        crashed = outcome.result is Result.INTERRUPTED
        unseen = crashed or (settled.left_stopped and settled.unanswered)
        in_doubt = unseen and self._end_in_doubt(seen, within=ASKED_AT_ONCE if crashed else _ASKED_SOON)
        self.ended(outcome, now)
        if outcome.numbers.get("engine_did_it") is not False or seen.container is None:
            return
        decision = decision if waiting is None else waiting.decision
        record = self.state.containers.get(seen.container_id)
        by_somebody = in_doubt or (record is not None and record.end_cause is EndCause.OPERATOR)
        if settled.left_stopped and not by_somebody:
            # The engine got no further than the stop: whoever wanted a restart wants the start, whatever its trigger.
            self.state.ended_by_agent(seen.container_id)
            decision = replace(decision, from_event=True, expires_at=now.wall + PENDING_FOR)
        if (decision.from_event and decision.expires_at > now.wall) or decision.approval:
            self.wanted_again(decision, waiting, now)

    def _container(self, intent: Intent) -> Container | None:
        record = self.state.containers.get(intent.decision.target.id)
        return record.container if record is not None else None

    def _end_in_doubt(self, seen: ContainerObserved, *, within: float) -> bool:
        container = seen.container
        if container is None or container.running or container.detail is None:
            return False
        return self.state.end_in_doubt(seen.container_id, container.detail.finished_at, within=within)

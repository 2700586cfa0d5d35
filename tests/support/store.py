"""A store in memory, for the loop's tests. The contract suite holds it to what the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.observation import Resume, StoreReset
from watchtower_agent.model.outcome import Act, Intent, Outcome, Result
from watchtower_agent.ports.store import LedgerRow, StoreFacts

SEEN_KEPT = 2048
SHORT_ID = 12


class FakeStore:
    """Implements the ports `Store` and `Outbox`.

    Attributes:
        commits: Everything that was committed, in order: what most tests look at.
        fail: Raised by the next calls of `commit`, one each, before anything is written.
    """

    def __init__(self, *, install_id: str = "fake", store_was_reset: StoreReset | None = None) -> None:
        self.commits: list[Commit] = []
        self.fail: list[WatchtowerError] = []
        self._install_id = install_id
        self._store_was_reset = store_was_reset
        self._cursor: Cursor | None = None
        self._seen: list[str] = []
        self._events: dict[int, EventMessage] = {}
        self._last_sequence = 0
        self._states: dict[str, StateMessage] = {}
        self._acked: dict[str, int] = {}
        self._version = 0
        self._records: dict[tuple[str, str], dict[str, object]] = {}
        self._ledger: dict[str, tuple[Intent, Outcome | None]] = {}
        self.dead: list[tuple[EventMessage, str]] = []
        self.news = asyncio.Event()
        """Set whenever what is still to be delivered changes; whoever waits for that clears it."""

    # --- port Store ------------------------------------------------------------------------------------------------

    async def load(self) -> Resume:
        records: dict[str, dict[str, dict[str, object]]] = {}
        for (kind, key), value in sorted(self._records.items(), key=lambda item: item[0]):  # as the table has them
            records.setdefault(kind, {})[key] = value
        return Resume(
            cursor=self._cursor,
            recent_event_ids=tuple(self._seen),
            records=records,
            last_sequence=self._last_sequence,
            install_id=self._install_id,
            retained_topics=tuple(sorted(self._states)),
            store_was_reset=self._store_was_reset,
            acts=tuple(self._acts()),
        )

    def _acts(self) -> Iterator[Act]:
        for intent, outcome in self._ledger.values():
            decision = intent.decision
            if decision.verb is Verb.NOTIFY or (outcome is not None and outcome.result is Result.ABANDONED):
                continue
            at = (outcome.moment if outcome else None) or intent.moment or Instant(wall=intent.at, monotonic=0.0)
            in_vain = outcome is not None and outcome.result in {Result.FAILED, Result.INEFFECTIVE}
            yield Act(
                id=decision.id,
                policy=decision.policy,
                target=decision.target.name,
                target_id=decision.target.id,
                verb=decision.verb,
                at=at,
                helped=False if in_vain else True if outcome and outcome.verified_at is not None else None,
            )

    async def commit(self, commit: Commit) -> None:
        if self.fail:
            raise self.fail.pop(0)
        if commit.empty:
            return
        self.commits.append(commit)
        self._cursor = commit.cursor or self._cursor
        self._seen = [*self._seen, *commit.event_ids][-SEEN_KEPT:]
        for event in commit.events:
            self._events[event.sequence] = event
            self._last_sequence = max(self._last_sequence, event.sequence)
        for state in commit.states:
            known = self._states.get(state.topic)
            if known is None or known.payload != state.payload:
                self._version += 1
                self._states[state.topic] = StateMessage(
                    topic=state.topic, payload=state.payload, version=self._version
                )
        for intent in commit.intents:
            self._ledger.setdefault(intent.decision.id, (intent, None))
        for outcome in commit.outcomes:
            decision = outcome.decision
            intent, _ = self._ledger.get(decision.id, (Intent(decision=decision, at=outcome.started_at), None))
            self._ledger[decision.id] = (intent, outcome)
        for record in commit.records:
            if record.value is None:
                self._records.pop((record.kind, record.key), None)
            else:
                self._records[record.kind, record.key] = dict(record.value)

    async def open_intents(self) -> Sequence[Intent]:
        return [intent for intent, outcome in self._ledger.values() if outcome is None]

    async def history(
        self,
        *,
        limit: int,
        policy: str | None = None,
        target: str | None = None,
        verb: Verb | None = None,
        result: Result | None = None,
    ) -> Sequence[LedgerRow]:
        rows = []
        for intent, outcome in reversed(self._ledger.values()):
            decision = intent.decision
            if (
                policy in {None, decision.policy}
                and (
                    target in {None, decision.target.name, decision.target.id}
                    or (len(target) >= SHORT_ID and decision.target.id.startswith(target))
                )
                and verb in {None, decision.verb}
                and (result is None or (outcome is not None and outcome.result is result))
            ):
                rows.append(LedgerRow(intent=intent, outcome=outcome))
        return rows[:limit]

    async def facts(self) -> StoreFacts:
        return StoreFacts(
            outbox_depth=len(self._events),
            outbox_bytes=sum(len(event.payload) for event in self._events.values()),
            outbox_oldest=0.0 if self._events else None,
            dropped=0,
            dead_letters=len(self.dead),
            buried=len(self.dead),
        )

    # --- port Outbox -----------------------------------------------------------------------------------------------

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        return [self._events[sequence] for sequence in sorted(self._events) if sequence > after][:limit]

    async def pending_states(self) -> Sequence[StateMessage]:
        return [state for state in await self.all_states() if self._acked.get(state.topic, 0) < state.version]

    async def all_states(self) -> Sequence[StateMessage]:
        return sorted(self._states.values(), key=lambda state: state.version)

    async def events_delivered(self, sequences: Sequence[int]) -> None:
        for sequence in sequences:
            self._events.pop(sequence, None)
        self.news.set()

    async def states_delivered(self, states: Sequence[StateMessage]) -> None:
        for state in states:
            known = self._states.get(state.topic)
            if known is None:
                continue
            self._acked[state.topic] = max(self._acked.get(state.topic, 0), state.version)
            if not known.payload and self._acked[state.topic] >= known.version:
                del self._states[state.topic]
        self.news.set()

    async def bury(self, message: EventMessage, *, reason: str) -> None:
        self._events.pop(message.sequence, None)
        self.dead.append((message, reason))
        self.news.set()

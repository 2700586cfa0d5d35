"""Whatever is committed, acknowledged, buried and interrupted in whatever order: the outbox agrees with a model."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.numbers import examples
from tests.support.store_values import event, state
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage
from watchtower_agent.storage import SqliteStore

T = TypeVar("T")

names = st.sampled_from(["web", "db", "cache"])
payloads = st.binary(max_size=40)


class OutboxMachine(RuleBasedStateMachine):
    """The model: what is undelivered, what each topic holds, and the highest sequence ever."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.pending: dict[int, EventMessage] = {}
        self.states: dict[str, bytes] = {}
        self.unacked: set[str] = set()
        self.last = 0

    def do(self, awaitable: Any) -> Any:  # noqa: ANN401 - whatever the store answers
        return self.loop.run_until_complete(awaitable)

    @initialize()
    def start(self) -> None:
        self.store = SqliteStore(self.folder / "state", clock=SystemClock())
        self.do(self.store.open())
        self.do(self.store.load())

    @rule(count=st.integers(1, 4), gap=st.integers(0, 3), payload=payloads)
    def commit_events(self, count: int, gap: int, payload: bytes) -> None:
        messages = [event(self.last + gap + step, payload=payload) for step in range(1, count + 1)]
        self.do(self.store.commit(Commit(events=tuple(messages))))
        self.pending |= {message.sequence: message for message in messages}
        self.last = messages[-1].sequence

    @rule(name=names, payload=payloads)
    def commit_state(self, name: str, payload: bytes) -> None:
        message = state(name, payload)
        self.do(self.store.commit(Commit(states=(message,))))
        if self.states.get(message.topic) != payload:
            self.states[message.topic] = payload
            self.unacked.add(message.topic)

    @rule(data=st.data())
    def deliver_events(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.pending) or [0])))
        self.do(self.store.events_delivered(sorted(chosen)))
        for sequence in chosen & self.pending.keys():
            del self.pending[sequence]

    @rule()
    def deliver_states(self) -> None:
        self.do(self.store.states_delivered(self.do(self.store.pending_states())))
        self.unacked.clear()
        for topic in [topic for topic, payload in self.states.items() if not payload]:
            del self.states[topic]

    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        if self.pending:
            sequence = data.draw(st.sampled_from(sorted(self.pending)))
            self.do(self.store.bury(self.pending.pop(sequence), reason="test"))

    @rule()
    def close_and_reopen(self) -> None:
        self.do(self.store.close())
        self.start()

    @rule(data=st.data(), states_too=st.booleans(), commits_after=st.booleans())
    def crash(self, data: st.DataObject, *, states_too: bool, commits_after: bool) -> None:
        """What kill -9 leaves: the files as they are. The last acknowledgements may be forgotten, nothing else."""
        before, unacked_before = dict(self.pending), set(self.unacked)
        cleared = {topic: payload for topic, payload in self.states.items() if not payload}
        if states_too:
            self.deliver_states()
        self.deliver_events(data)
        if commits_after:  # takes the acknowledgements along
            self.commit_events(1, 0, b"last")
        copy = self.folder / "copy"
        copy.mkdir()
        for name in ("store.db", "store.db-wal"):
            if (self.folder / "state" / name).exists():
                shutil.copy(self.folder / "state" / name, copy / name)
        self.do(self.store.close())
        shutil.rmtree(self.folder / "state")
        copy.rename(self.folder / "state")
        self.start()
        if not commits_after:
            found = {message.sequence for message in self.do(self.store.pending_events(after=0, limit=10**6))}
            assert found == before.keys(), "nothing wrote the acknowledgements"
            self.pending = before
            if states_too:
                self.states |= cleared
                self.unacked = unacked_before

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.do(self.store.pending_events(after=0, limit=10**6))
        assert list(found) == [self.pending[sequence] for sequence in sorted(self.pending)]
        assert {message.topic: message.payload for message in self.do(self.store.all_states())} == self.states
        assert {message.topic for message in self.do(self.store.pending_states())} == self.unacked
        resume = self.do(self.store.load())
        assert resume.last_sequence == self.last
        facts = self.do(self.store.facts())
        assert facts.outbox_depth == len(self.pending)
        assert (facts.outbox_bytes > 0) == bool(self.pending)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.do(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=examples(25), stateful_step_count=25, deadline=None)

"""What the loop speaks to. Adapters implement these; tests put fakes behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from watchtower_agent.model.commit import Commit
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.fact import AgentInfo, ContainerView, Fact, MetricsTable
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.observation import EngineInfo, Resume
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch, SampleTarget


class Clock(Protocol):
    """The host's clocks."""

    def now(self) -> Instant:
        """The present moment on both clocks."""
        ...


class Engine(Protocol):
    """Calls to the engine. Each raises TemporaryError (down, slow, busy), AbsentError or PermanentError.

    RemovedError, an AbsentError: somebody removed the container while the call was carried out.
    """

    async def inspect(self, container_id: str) -> Container:
        """One container with its detail."""
        ...

    async def restart(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop and start it. The call may take as long as the stop timeout and 30 s more.

        Args:
            container_id: Full id.
            stop_timeout: Seconds between the stop signal and KILL; None for the container's own.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Start it; no error when it runs already."""
        ...

    async def stop(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop it; no error when it is stopped already."""
        ...

    async def kill(self, container_id: str, *, signal: str | None) -> None:
        """Send it a signal, KILL by default."""
        ...

    async def pause(self, container_id: str) -> None:
        """Freeze its processes."""
        ...

    async def unpause(self, container_id: str) -> None:
        """Let its processes go on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One line of the history: an intent and, once there is one, its outcome."""

    intent: Intent
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """How the store is doing.

    Attributes:
        outbox_depth: Events that the broker has not acknowledged yet.
        outbox_bytes: Their size.
        outbox_oldest: The oldest one's commit time, seconds since the epoch; None when empty.
        dropped: Events dropped by the byte cap since the store was made.
        dead_letters: Events that the broker will never take.
    """

    outbox_depth: int
    outbox_bytes: int
    outbox_oldest: float | None
    dropped: int
    dead_letters: int


class Store(Protocol):
    """The one durable file. Every call raises TemporaryError when the disk is full or failing."""

    async def load(self) -> Resume:
        """Everything an earlier run left."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Make it durable: on return it survives kill -9 and power loss. Calls are written in order."""
        ...

    async def open_intents(self) -> Sequence[Intent]:
        """Intents without an outcome, oldest first: what a crash interrupted."""
        ...

    async def history(
        self,
        *,
        limit: int,
        policy: str | None = None,
        target: str | None = None,
        verb: Verb | None = None,
        result: Result | None = None,
    ) -> Sequence[LedgerRow]:
        """The newest rows of the ledger, newest first."""
        ...

    async def facts(self) -> StoreFacts:
        """Depth and size of the outbox, and what was dropped."""
        ...


class Outbox(Protocol):
    """The sending side's view of the store: what is still to be delivered."""

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        """Undelivered events with a sequence above `after`, in order."""
        ...

    async def pending_states(self) -> Sequence[StateMessage]:
        """Retained topics whose newest content the broker has not acknowledged."""
        ...

    async def all_states(self) -> Sequence[StateMessage]:
        """The newest content of every retained topic in the manifest."""
        ...

    async def events_delivered(self, sequences: Sequence[int]) -> None:
        """The broker acknowledged these. May be lost in a crash: then they are sent again."""
        ...

    async def states_delivered(self, states: Sequence[StateMessage]) -> None:
        """The broker acknowledged these versions. A cleared topic leaves the manifest."""
        ...

    async def bury(self, message: EventMessage, *, reason: str) -> None:
        """Move an event that the broker will never take to the dead letters."""
        ...


class Publisher(Protocol):
    """The way to the broker. Never blocks the loop; what is durable is told to it after its commit."""

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:
        """These are durable now: send them when the broker is there."""
        ...

    def metrics(self, message: MetricsMessage) -> None:
        """Send it if the broker is there now, else forget it."""
        ...


class Sampling(Protocol):
    """The sampler's thread, as the loop sees it."""

    def watch(self, targets: tuple[SampleTarget, ...]) -> None:
        """From the next tick on, sample these and no others."""
        ...


class Inspections(Protocol):
    """Asks the engine about containers, in the background; answers come through the inbox."""

    def request(self, container_ids: Sequence[str]) -> None:
        """Inspect these soon. Asking twice for one that waits already is one inspection."""
        ...


class Composer(Protocol):
    """Turns facts into messages: topics, payloads, what may leave the agent and what may not. Pure."""

    def engine_changed(self, engine: EngineInfo) -> None:
        """From now on events come from this engine (`source` of the CloudEvents)."""
        ...

    def event(
        self, fact: Fact, *, sequence: int, correlation_id: str, view: ContainerView | None
    ) -> EventMessage | None:
        """One CloudEvent, or None for what is not published (exec events by default, another node's Swarm events).

        Args:
            fact: What happened.
            sequence: The agent's running number for it.
            correlation_id: Shared by cause, decision, action and outcome.
            view: The container it is about, as it is known now; None for other subjects or an unknown container.
        """
        ...

    def container_state(self, view: ContainerView) -> StateMessage:
        """The retained state of one container."""
        ...

    def container_topic(self, name: str) -> str:
        """The topic of the retained state of the container of that name."""
        ...

    def container_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Those of the topics that hold retained states of containers of this host."""
        ...

    def former_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Retained topics under another name of this host, or another base topic: of the given ones, and its status."""
        ...

    def info(self, info: AgentInfo) -> StateMessage:
        """The retained `info` topic."""
        ...

    def metrics(
        self,
        batch: SampleBatch,
        table: MetricsTable,
        engine: Mapping[str, float],
        *,
        sequence: int,
    ) -> Sequence[MetricsMessage]:
        """The batch on `metrics`, and one message per container where the settings ask for it.

        Args:
            batch: The newest tick: the host's values are taken from it.
            table: The running containers, with the values of that tick.
            engine: Catalogue name (`engine.…`) -> value.
            sequence: Counts batches since the agent started.
        """
        ...


class Control(Protocol):
    """What a running agent answers over its control socket. All answers are JSON-able."""

    async def status(self) -> Mapping[str, object]:
        """How the agent, engine, broker, outbox, sampling and policies are doing."""
        ...

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        """Past actions, newest first."""
        ...

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        """Host, engine, policies, and one page of containers: how each is, and how close its policies are to firing.

        Raises:
            PermanentError: There is no such order.

        Args:
            sort: Name of an order.
            backwards: The other way round.
            offset: How many of the first are left out.
            limit: How many at most.
        """
        ...

    async def metrics(self, *, container: str | None) -> Mapping[str, object]:
        """The present value of every catalogue name: of the host, its engine, and a container or the range of all.

        Raises:
            PermanentError: There is no such container.

        Args:
            container: Name, or the begin of an id.
        """
        ...

    async def past(self, *, name: str, container: str | None, last: int) -> Mapping[str, object]:
        """The averages of one catalogue name, as `points`: `[seconds since the epoch, value or None]`.

        Raises:
            PermanentError: There is no such name or container, or its past is not kept.

        Args:
            name: Of the catalogue.
            container: Name, or the begin of an id; None for what is the host's or its engine's.
            last: How many seconds back.
        """
        ...

    async def pause(self, *, policy: str | None, target: str | None, length: int, reason: str) -> Mapping[str, object]:
        """Keep still for a while: nothing new is done or told. Returns once that is durable.

        Raises:
            PermanentError: There is no such policy or container, or both are given.

        Args:
            policy: The name of one; None with a target, or for the whole agent.
            target: A container's name, or the begin of its id: no policy acts on it.
            length: Seconds.
            reason: Why, for others to read.
        """
        ...

    async def resume(self, *, policy: str | None, target: str | None) -> Mapping[str, object]:
        """End that pause, and no other one. Returns once that is durable.

        Raises:
            PermanentError: There is no such policy or container, or both are given.

        Args:
            policy: As for `pause`.
            target: As for `pause`.
        """
        ...

    async def lag(self, *, seconds: float) -> Mapping[str, object]:
        """How late the agent's event loop is: what its turns tell of so many seconds, then what timers find in as many.

        Args:
            seconds: How long each is looked at.
        """
        ...

    def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on, as it is published: `{"topic": …, "event": {the CloudEvent}}`.

        A follower that reads too slowly gets `{"missed": n}` in place of what it missed.
        """
        ...

    async def reload(self) -> Mapping[str, object]:
        """Read the policy folder now."""
        ...

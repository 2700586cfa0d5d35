"""What goes out to the broker, and what comes in from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from watchtower_agent.model.container import Container
from watchtower_agent.model.fact import AgentInfo, ContainerView, Fact, MetricsTable
from watchtower_agent.model.message import EventMessage, MetricsMessage, ReplyMessage, StateMessage
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.sample import SampleBatch


class Publisher(Protocol):
    """The way to the broker. Never blocks the loop; what is durable is told to it after its commit."""

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:
        """These are durable now: send them when the broker is there."""
        ...

    def metrics(self, message: MetricsMessage) -> None:
        """Send it if the broker is there now, else forget it."""
        ...


class Listener(Protocol):
    """Takes what the broker brings. Called on the event loop, and must return at once."""

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """A message came.

        Args:
            topic: Its topic.
            payload: Its bytes.
            retained: The broker had kept it: when it was published is not known.
        """
        ...

    def refused(self, topic_filter: str, reason: str) -> None:
        """The agent can't listen there.

        Args:
            topic_filter: Where.
            reason: In few words.
        """
        ...


class Subscriber(Protocol):
    """The way from the broker. Nothing comes while there is none."""

    def follow(self, filters: frozenset[str], listener: Listener) -> None:
        """From now on hear what is published there, and nothing else.

        Args:
            filters: Topics, exact or with `+` in place of levels.
            listener: Who hears it.
        """
        ...


class CommandReceiver(Protocol):
    """Takes the commands that the broker brings. Called on the event loop, and must return at once."""

    def commanded(self, topic: str, payload: bytes, *, retained: bool, late: bool) -> None:
        """A command came.

        Args:
            topic: Its topic.
            payload: Its bytes.
            retained: The broker had kept it, or is to keep it: when it was published is not known.
            late: It may be from a time in which the agent was not connected.
        """
        ...


class CommandChannel(Protocol):
    """The way from and to those who command over the broker."""

    def obey(self, topic_filter: str, receiver: CommandReceiver) -> None:
        """From now on take commands there, each once per connection. Call it at most once.

        Args:
            topic_filter: Topics, with `+` in place of the last level.
            receiver: Who takes them.
        """
        ...

    def reply(self, message: ReplyMessage) -> None:
        """Send it as soon as the broker is there, unless there are too many; what is sent may be lost."""
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

    def topics_of_container(self, name: str) -> Sequence[str]:
        """All retained topics of the container of that name, in the order in which they are to be cleared."""
        ...

    def container_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Those of the topics that are retained ones of containers of this host."""
        ...

    def former_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Retained topics that other settings left (the host's name, the base topic, Home Assistant's).

        Of the given ones; and the status under another name of the host.
        """
        ...

    def container_device(self, container: Container, beside: Iterable[str] = ()) -> StateMessage | None:
        """How Home Assistant shows the container, beside others of these names, retained; None: it is told nothing."""
        ...

    def host_device(self) -> StateMessage | None:
        """How Home Assistant shows this host, retained; None where it is told nothing."""
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
        interval: float,
    ) -> Sequence[MetricsMessage]:
        """The batch on `metrics`, and one message per container where the settings ask for it.

        Args:
            batch: The newest tick: the host's values are taken from it.
            table: The running containers, with the values of that tick.
            engine: Catalogue name (`engine.…`) -> value.
            sequence: Counts batches since the agent started.
            interval: Seconds until the next one.
        """
        ...

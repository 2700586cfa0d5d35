"""From facts and changed state to messages: numbers them, remembers what is retained where. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.pace import Pace
from watchtower_agent.model.approval import Approval
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Dropped, Held
from watchtower_agent.model.fact import AgentInfo, Fact, MetricsTable
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import StateMessage
from watchtower_agent.model.observation import EngineInfo, Resume
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.model.service import Judgement
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.subject import ContainerSubject, engine_values
from watchtower_agent.policies.making import digest
from watchtower_agent.ports.delivery import Composer
from watchtower_agent.state import views
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.remembered import record_json
from watchtower_agent.state.sample_targets import SampleTargets

_STATES_AT_ONCE, _STATES_EVERY = 20, 0.25
"""Steps in a row that publish states at once, and seconds between them in a storm that goes on: newest wins."""
_STATES_IN_A_STEP = 20
"""States that such a step may have; one with more counts for several, so that a storm over many containers is not
mostly states that nobody has time to read."""
_MEANS_EVERY = 5.0
"""Seconds between batches at most while this host runs replicas that another one scales: with 10 s it grows later."""


@dataclass(slots=True)
class Publication:
    """What has been published: sequence numbers, retained topics and their content.

    Attributes:
        composer: Makes topics and payloads.
        state: Whose containers are published; this class only reads it and takes its lists of changes.
        sequence: The highest number given to an event.
        install_id: Of the store.
        out: What the step at hand has to do in the world.
        means: What other nodes of the Swarm are told of the replicas here: service -> windows.
    """

    composer: Composer
    state: HostState
    sequence: int = 0
    install_id: str = ""
    out: Effects = field(default_factory=Effects)
    means: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    _contents: dict[str, int] = field(default_factory=dict)
    """Topic -> a hash of what was written there last: of a full host the texts themselves would be half a megabyte."""
    _manifest: set[str] = field(default_factory=set)
    _shown: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name -> id and image of the container as its device tells of it, which takes longer to write than a state."""
    _info: AgentInfo | None = None
    _states: Pace = field(default_factory=lambda: Pace(burst=_STATES_AT_ONCE, interval=_STATES_EVERY))
    _changed: set[str] = field(default_factory=set)
    """Ids of containers whose state is to be published."""
    _names_gone: set[str] = field(default_factory=set)
    _metrics_at: float = -math.inf
    _batches: int = 0
    _sampled: bool = False
    _watched: tuple[SampleTarget, ...] | None = None
    _targets: SampleTargets = field(default_factory=SampleTargets)

    def resume(self, resume: Resume) -> None:
        """Go on from where an earlier run ended."""
        self.sequence = resume.last_sequence
        self.install_id = resume.install_id
        self._manifest = set(resume.retained_topics)
        if resume.records.get("host", {}).get("name") != self._host():
            self.out.records.append(Record(kind="host", key="name", value=self._host()))
        for topic in self.composer.former_topics(resume.retained_topics):
            self._manifest.add(topic)
            self._clear(self.out, topic)

    def _host(self) -> dict[str, object]:
        return {"is": self.state.host}

    def next_correlation(self) -> str:
        """A correlation id for an event of the agent's own that nothing caused."""
        return digest("notice", self.install_id, str(self.sequence + 1))

    def take(self) -> Effects:
        """All that the step has to do in the world; the next one begins with nothing."""
        out, self.out = self.out, Effects()
        return out

    def tell(self, fact: Fact, correlation: str, now: Instant, *, record: ContainerRecord | None = None) -> None:
        """Compose one event; a decision is shown with its target as it is now."""
        self.out.facts.append(fact)
        if record is None and isinstance(fact, Decision | Held | Dropped | Approval):
            decision = fact if isinstance(fact, Decision) else fact.decision
            record = self.state.containers.get(decision.target.id)
        view = views.view(self.state, record, now) if record is not None else None
        message = self.composer.event(fact, sequence=self.sequence + 1, correlation_id=correlation, view=view)
        if message is not None:
            self.sequence += 1
            self.out.events.append(message)

    def states(self, info: AgentInfo, now: Instant, *, last: bool = False) -> None:
        """Retained topics whose content changed, and the records behind them.

        Args:
            info: Of the agent.
            now: The present.
            last: No step will follow: publish what a storm holds back.
        """
        self._records(self.out)
        if (self._changed or self._names_gone) and (last or not self._states.wait(now.monotonic)):
            before = len(self.out.states)
            self._containers(self.out)
            self._states.went(now.monotonic, weight=max(1.0, (len(self.out.states) - before) / _STATES_IN_A_STEP))
            self.watch()
        known = self._info
        # The last sequence changes all the time: it goes along when something else changes.
        if known is None or replace(known, last_sequence=info.last_sequence) != info:
            self._info = info
            self.out.states.append(self.composer.info(info))
            self._retain(self.out, self.composer.host_device())

    def rest(self, now: float, *, at_most: float) -> float:
        """Seconds until states that a storm holds back are due; `now` is monotonic."""
        return min(at_most, self._states.wait(now)) if self._changed or self._names_gone else at_most

    def _records(self, out: Effects) -> None:
        """What is remembered of containers goes with the cursor, at every step: no event tells it again."""
        state = self.state
        out.records.extend(Record(kind="container", key=container_id, value=None) for container_id in state.removed)
        for container_id in state.changed:
            record = state.containers[container_id]
            out.records.append(Record(kind="container", key=container_id, value=record_json(record)))
        self._changed |= state.changed
        self._changed -= state.removed
        self._names_gone |= state.names_gone
        state.changed.clear()
        state.removed.clear()
        state.names_gone.clear()

    def watch(self) -> None:
        """Have the containers sampled that run, as far as is known."""
        targets = self._targets.of(record.container for record in self.state.containers.values())
        if targets != self._watched:
            self._watched = self.out.watch = targets

    def _containers(self, out: Effects) -> None:
        state = self.state
        if self._names_gone:
            names = {record.container.name for record in state.containers.values()}
            shared = self._task_topics()
            for name in self._names_gone - names:
                self._shown.pop(name, None)
                if self.composer.container_topic(name) not in shared:
                    for topic in self.composer.topics_of_container(name):
                        self._clear(out, topic)
        for container_id in self._changed:
            record = state.containers[container_id]
            if record.container.status is None or self._succeeded(record):
                continue  # once an inspection tells the state, it changes again
            self._retain(out, self.composer.container_state(views.view(state, record)))
            container = record.container
            if self._shown.get(container.name) != (container.id, container.image):
                self._shown[container.name] = container.id, container.image
                self._retain(out, self.composer.container_device(container, self._names()))
        self._changed.clear()
        self._names_gone.clear()

    def _names(self) -> Iterator[str]:
        return (record.container.name for record in self.state.containers.values())

    def _retain(self, out: Effects, message: StateMessage | None) -> None:
        """Write it, unless that is what was written there last."""
        if message is None:
            return
        content = hash(message.payload)
        if self._contents.get(message.topic) != content:
            self._contents[message.topic] = content
            self._manifest.add(message.topic)
            out.states.append(message)

    def _task_topics(self) -> set[str]:
        """Topics of Swarm tasks: those that follow each other in a slot share one."""
        records = self.state.containers.values()
        return {self.composer.container_topic(r.container.name) for r in records if r.container.swarm_service}

    def _succeeded(self, record: ContainerRecord) -> bool:
        """Whether a newer task of the same Swarm slot has taken over the record's topic."""
        container = record.container
        if not container.swarm_service:
            return False
        topic = self.composer.container_topic(container.name)
        return any(
            other.container.created_at > container.created_at
            and other.container.swarm_service == container.swarm_service
            and self.composer.container_topic(other.container.name) == topic
            for other in self.state.containers.values()
        )

    def engine_changed(self, engine: EngineInfo) -> None:
        """From now on it is this engine that is told about."""
        self.composer.engine_changed(engine)
        self._info = None  # what it says of the engine is out of date
        # An engine elsewhere keeps its data on a disk that can't be measured from here.
        elsewhere = self.state.engine.elsewhere
        self.out.engine = LocalEngine() if elsewhere else LocalEngine(data_root=engine.data_root, pid=engine.pid)

    def publish_again(self) -> None:
        """Every retained topic is written anew, so that the store's manifest is whole again."""
        self._contents.clear()
        self._shown.clear()
        self._info = None
        self.out.records.append(Record(kind="host", key="name", value=self._host()))

    def clear_ghosts(self) -> None:
        """Clear the retained topics of containers that are not there any more."""
        names = {record.container.name for record in self.state.containers.values()}
        there = {topic for name in names for topic in self.composer.topics_of_container(name)}
        for topic in self.composer.container_topics(sorted(self._manifest)):
            if topic not in there:
                self._clear(self.out, topic)

    def _clear(self, out: Effects, topic: str) -> None:
        if topic not in self._manifest:
            return  # a name so short-lived that it was never published
        self._contents.pop(topic, None)
        self._manifest.discard(topic)
        out.states.append(StateMessage(topic=topic, payload=b""))

    def metrics(self, now: Instant, interval: float, every: float, judgements: Sequence[Judgement] = ()) -> None:
        """The batch of metrics, when it is due, or when containers were sampled for the first time.

        Args:
            now: The tick.
            interval: Seconds between ticks: half of one is tolerated.
            every: Seconds between batches.
            judgements: What other nodes of the Swarm are told of its services.
        """
        batch = self.state.samples
        if batch is None:
            return
        if self._runs_scaled():
            every = min(every, max(interval, _MEANS_EVERY))
        first = bool(batch.targets) and not self._sampled
        if now.monotonic < self._metrics_at + every - interval / 2 and not first:
            return
        self._sampled = self._sampled or first
        self._metrics_at = now.monotonic
        self._batches += 1
        table, engine = replace(views.table(self.state, now), judgements=judgements), engine_values(self.state)
        if self.means:
            table = replace(table, means=self._means(table, now))
        told = self.composer.metrics(batch, table, engine, sequence=self._batches, interval=every)
        self.out.metrics.extend(told)

    def _runs_scaled(self) -> bool:
        """Whether a replica of a service that is scaled runs on this host."""
        means = self.means
        records = self.state.containers.values() if means else ()
        return any(each.container.running and each.container.swarm_service in means for each in records)

    def _means(self, table: MetricsTable, now: Instant) -> dict[int, dict[str, float]]:
        """Place in the table -> what is known of the means that are asked of that replica."""
        found: dict[int, dict[str, float]] = {}
        for place, container in enumerate(table.containers):
            windows = self.means.get(container.swarm_service)
            if windows is None:
                continue
            subject = ContainerSubject(self.state, now, self.state.containers[container.id])
            values = ((str(window), subject.window(window)) for window in windows)
            found[place] = {text: value for text, value in values if isinstance(value, float | int)}
        return found

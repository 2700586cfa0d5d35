"""What the shell tells the loop: everything that can change HostState passes the inbox as one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.engine_event import Cursor, EngineEvent
from watchtower_agent.model.outcome import Act
from watchtower_agent.model.service import Judgement, SwarmService
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsObserved:
    """Events of the engine, in the order in which the reader handed them over.

    Attributes:
        events: Normalised, duplicates dropped.
        lag: Seconds between the engine's stamp of the newest and its hand-over.
    """

    events: tuple[EngineEvent, ...]
    lag: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryObserved:
    """A complete listing of the engine's containers.

    Attributes:
        containers: All of them, in any state.
        after_position: Position of the last event handed over before the listing was asked for. What the
            listing says of a container with a later event is out of date.
        at: When it was asked for, seconds since the epoch.
        listening_since: From where the next start looks on, while no event was handled; None once one was.
    """

    containers: tuple[Container, ...]
    after_position: int
    at: float
    listening_since: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerObserved:
    """One inspection.

    Attributes:
        container_id: Who was asked about.
        container: The answer; None when the engine does not know it (any more).
        after_position: As in InventoryObserved.
        at: When it was asked for, seconds since the epoch.
    """

    container_id: str
    container: Container | None
    after_position: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Which engine the agent speaks to.

    Attributes:
        id: The engine's own id.
        name: Its host name.
        version: Its version.
        api_version: The negotiated version of its API.
        data_root: Where it keeps its data on its host.
        cgroup_driver: `systemd`, `cgroupfs` or `none`.
        cgroup_version: `1` or `2`.
        swarm_node_id: Empty outside a Swarm.
        swarm_manager: True when this engine is one of its Swarm's managers.
        swarm_leader: True when this engine leads its Swarm.
        url: The address that is used, and in `url_source` where it came from.
        url_source: `settings`, `DOCKER_HOST`, `context NAME` or `default`.
        cpus: How many its host has; 0 when it did not say.
        pid: Of the process behind its socket; 0 when that is not known (remote), or the init system's.
        podman: True when it is Podman.
        started_at: When the daemon's process started, seconds since the epoch; None when not known (remote).
    """

    id: str
    name: str
    version: str
    api_version: str
    data_root: str = ""
    cgroup_driver: str = ""
    cgroup_version: str = ""
    swarm_node_id: str = ""
    swarm_manager: bool = False
    swarm_leader: bool = False
    url: str = ""
    url_source: str = ""
    cpus: int = 0
    pid: int = 0
    podman: bool = False
    started_at: float | None = field(default=None, compare=False)  # measured anew with each connection


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFound:
    """The engine answers and its event stream is open (again).

    Attributes:
        info: Which engine.
        restarted: True when the daemon was restarted since it was last seen.
        at: Seconds since the epoch.
        clock_offset: Seconds to add to our wall clock to get the engine's.
    """

    info: EngineInfo
    restarted: bool
    at: float
    clock_offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDescribed:
    """The engine that is there says something else of itself: it joined a Swarm or left it, leads it or ceased to.

    Attributes:
        info: The same engine, as it is now.
    """

    info: EngineInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLost:
    """The engine does not answer, or its event stream ended.

    Attributes:
        reason: One sentence for people.
        at: Seconds since the epoch.
    """

    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesCounted:
    """The engine told how many images it has.

    Attributes:
        count: Of images; None when it did not say.
        at: Seconds since the epoch.
    """

    count: int | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePinged:
    """The engine answered a ping.

    Attributes:
        latency: Seconds for the round trip.
        at: Seconds since the epoch.
    """

    latency: float
    at: float


SEQUENCES_NAMED: Final = 20
"""Lost events that a gap names one by one; of more the number is told."""
_SEEN_BY_THE_AGENT: Final = frozenset({"outbox_overflow", "dead_letter", "store_reset"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GapObserved:
    """Events may have been lost. Loss is counted, never silent.

    Attributes:
        reason: `replay_incomplete`, `engine_restarted`, `clock_stepped_back`, `audit`, `reader_overflow`,
            `event_too_large`, `event_unreadable`, `inbox_overflow`, `outbox_overflow`, `dead_letter` or `store_reset`.
        since: Begin of the window, seconds since the epoch.
        until: End of the window, seconds since the epoch.
        count: How many were lost where that is known, else None.
        sequences: Of the agent's own events, where it is known which: the first `SEQUENCES_NAMED` of them.
        why: Of `store_reset` one sentence that says what became of the store. Its window is known where its count is,
            and is not 0.
    """

    reason: str
    since: float
    until: float
    count: int | None = None
    sequences: tuple[int, ...] = ()
    why: str = ""

    @property
    def seen_by_the_agent(self) -> bool:
        """Whether subscribers alone miss something: the agent had handled those events, and its picture is whole."""
        return self.reason in _SEEN_BY_THE_AGENT


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReset:
    """The store was damaged and set aside.

    Attributes:
        why: One sentence: what was wrong, and what became of its content.
        count: Undelivered events that are lost with it; None where that is not known.
        since: When the oldest of all that were undelivered was committed, seconds since the epoch; None: not known.
        until: When the newest of them was.
    """

    why: str
    count: int | None = None
    since: float | None = None
    until: float | None = None

    def after(self, earlier: StoreReset) -> StoreReset:
        """Both as one: nobody was told of the earlier one."""
        if self.count is None or earlier.count is None:
            return StoreReset(why=self.why)
        begins = [each for each in (earlier.since, self.since) if each is not None]
        ends = [each for each in (earlier.until, self.until) if each is not None]
        return StoreReset(
            why=self.why,
            count=earlier.count + self.count,
            since=min(begins, default=None),
            until=max(ends, default=None),
        )

    def gap(self, now: float) -> GapObserved:
        """What is told of it, `now` seconds since the epoch."""
        since = now if self.since is None else self.since
        until = now if self.until is None else self.until
        return GapObserved(reason="store_reset", since=since, until=until, count=self.count, why=self.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDue:
    """A policy's time has come, or came while nobody looked.

    Attributes:
        policy: The policy's name.
        schedule: Its cron expression and zone, as the timetable has them: what was changed since is not due.
        due: When it was to run, seconds since the epoch. Of several that were missed the newest that can be made up.
    """

    policy: str
    schedule: str
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesRejected:
    """A policy folder that could not be taken. The last good set, if there is one, keeps running.

    Attributes:
        problems: Each as `file:line:column: path: what is wrong, and what would be right`.
        at: Seconds since the epoch.
        more: How many others there are, which only `check` tells.
    """

    problems: tuple[str, ...]
    at: float
    more: int = 0

    @property
    def count(self) -> int:
        """How many problems there are."""
        return len(self.problems) + self.more


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """What the store remembers from an earlier run. The first thing that reaches the inbox.

    Attributes:
        cursor: The last event handled, or since when there was none; None on the first start ever.
        recent_event_ids: Ids of the newest handled events, oldest first, to drop duplicates of a replay.
        records: Kind -> key -> JSON object: baseline of containers, operator intents, pending decisions, cooldowns, …
        last_sequence: The highest sequence number ever given to an event.
        install_id: Random, made with the store.
        retained_topics: The manifest: every retained topic that may have content on the broker.
        store_was_reset: What became of an earlier store that was damaged, as long as nobody was told.
        acts: What the ledger tells of actions, those that only told people left out, oldest first.
    """

    cursor: Cursor | None
    recent_event_ids: tuple[str, ...] = ()
    records: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    last_sequence: int = 0
    install_id: str
    retained_topics: tuple[str, ...] = ()
    store_was_reset: StoreReset | None = None
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionHung:
    """The engine did not answer about one container in time.

    Attributes:
        container_id: Full id.
        waited: Seconds for which it was waited.
        tries: Inspections of it in a row that hung, this one among them.
        reason: In words.
        at: Seconds since the epoch.
    """

    container_id: str
    waited: float
    tries: int
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesObserved:
    """What the Swarm says of the services that policies scale. Only managers are asked.

    Attributes:
        leads: Whether the engine that was asked leads the Swarm: who leads is told by no event.
        services: Those of the asked names that there are, and are replicated.
        asked: The names that were asked for.
        at: When they were, seconds since the epoch.
        moment: The same on the monotonic clock.
    """

    leads: bool
    services: tuple[SwarmService, ...]
    asked: frozenset[str]
    at: float
    moment: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingObserved:
    """A metric from outside that was published, or answered.

    Attributes:
        name: Of the metric, as its rule has it (`MqttMetricRule.name`).
        value: What it is; None when it can't be known, and in `why` why not.
        age: Seconds since it was true, as far as that is known: of a retained message by the stamp that it carries.
        moment: When it came, on the monotonic clock.
        why: In few words; empty for a value.
        silent: Nobody said anything: what was known before is no less true than it was.
    """

    name: str
    value: float | None
    age: float = 0.0
    moment: float
    why: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiblingReplica:
    """What another node's agent tells of a container of a service there.

    Attributes:
        container_id: Full id.
        service: Name of the Swarm's service.
        means: `avg(cpu.percent_of_limit, 20s)` and the like, as the batch names them -> value.
    """

    container_id: str
    service: str
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiblingObserved:
    """A batch of metrics of another host's agent.

    Attributes:
        host: Its name.
        node: Id of its node in the Swarm; empty outside one.
        interval: Seconds between its batches.
        moment: When it came, on the monotonic clock.
        replicas: Those of its containers that are tasks of a service.
        judgements: What it makes of services that it scales, as the agent of the Swarm's leader; none of another's.
    """

    host: str
    node: str
    interval: float
    moment: float
    replicas: tuple[SiblingReplica, ...] = ()
    judgements: tuple[Judgement, ...] = ()


EngineObservation = (
    EventsObserved
    | InventoryObserved
    | ContainerObserved
    | InspectionHung
    | EngineFound
    | EngineDescribed
    | EngineLost
    | EnginePinged
    | ImagesCounted
    | GapObserved
)
"""Everything that the engine's room tells the loop."""

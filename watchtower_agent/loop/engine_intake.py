"""What the engine tells, taken in: events one by one, listings, inspections, the engine itself, its disk. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.engine_watch import EngineTold, EngineWatch
from watchtower_agent.loop.hang_watch import HangWatch
from watchtower_agent.loop.observations import DiskTold
from watchtower_agent.loop.pausing import Pausing
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.renaming import renamed
from watchtower_agent.loop.shared_causes import SharedCauses
from watchtower_agent.model.commit import Record
from watchtower_agent.model.engine_event import EXEC_ACTIONS, Cursor, EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EventsObserved,
    InspectionHung,
    InventoryObserved,
    Resume,
)
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.differences import is_named
from watchtower_agent.state.host_state import READ_ANEW_AFTER, HostState, inspected_after
from watchtower_agent.state.record import is_ours
from watchtower_agent.state.remembered import record_from_json

KIND = "baseline"
"""Of the records that the store keeps."""


@dataclass(slots=True)
class EngineIntake:
    """Brings what the engine tells into the state, and tells whoever follows it.

    Whatever is concluded from a listing or an inspection takes the same way as the engine's own events.

    Attributes:
        state: The host.
        publication: Where events are told; what is to be remembered and asked goes into its effects of the step.
        decisions: Hear of whatever bears on what is wanted, waits or is under way.
        pausing: Told when a container has another name.
        causes: Hear of each failure.
        hangs: Containers whose inspection hangs.
    """

    state: HostState
    publication: Publication
    decisions: Decisions
    pausing: Pausing
    causes: SharedCauses
    hangs: HangWatch = field(init=False)
    _watch: EngineWatch = field(init=False)
    _cursor: Cursor | None = None
    """The last event handled, or since when the agent listens."""

    def __post_init__(self) -> None:
        self.hangs = HangWatch(self.state, self.decisions.say)
        self._watch = EngineWatch(self.state, self.publication, self.decisions.say)

    # --- remembered -----------------------------------------------------------------------------------

    def resume(self, resume: Resume) -> None:
        """Take in what an earlier run knew of the engine's containers, and up to where it had read its events."""
        self._cursor = resume.cursor
        for container_id, stored in resume.records.get("container", {}).items():
            record = record_from_json(stored)
            if record is not None:
                self.state.containers[container_id] = record
        if self.state.containers:
            self.publication.watch()  # those that run still have a cgroup, whether or not the engine answers
        self.state.baseline = bool(resume.records.get(KIND))

    def remember_again(self, now: Instant) -> None:
        """The store was lost while running: put what it must know into the new one."""
        if self.state.baseline:
            self._remember_baseline(now.wall)
        if self._cursor is not None:
            self._handled(self._cursor)
        self.state.changed.update(self.state.containers)

    def _remember_baseline(self, at: float) -> None:
        self.publication.out.records.append(Record(kind=KIND, key="made", value={"at": at}))

    def _handled(self, cursor: Cursor) -> None:
        self._cursor = self.publication.out.cursor = cursor

    # --- events ---------------------------------------------------------------------------------------

    def events(self, seen: EventsObserved, now: Instant) -> None:
        """Take in what the engine's event stream told, in its order."""
        self.state.engine.event_lag = seen.lag
        self._watch.alive(now, ago=seen.lag)
        for event in seen.events:
            self._event(event, now)

    def _event(self, event: EngineEvent, now: Instant) -> None:
        """One of them. In a storm there are thousands a second: each call here counts."""
        out, decisions, container_id = self.publication.out, self.decisions, event.actor_id
        of_container = event.kind is EventKind.CONTAINER
        known = self.state.containers.get(container_id) if of_container else None
        own = known.own if known is not None and is_ours(known, event) else None
        name = known.container.name if known is not None and is_named(known.container) else ""
        record = self.state.apply_event(event)
        if record is not None and name and record.container.name != name:
            renamed(name, record, decisions, self.pausing, now)
        if event.origin is not Origin.SYNTHETIC:
            self._cursor = out.cursor = Cursor(time_ns=event.time_ns, event_id=event.id)
            out.event_ids.append(event.id)
        by_us = own.correlation_id if own is not None else decisions.pruning.caused(event, now)
        correlation = by_us or event.id
        self._watch.event(event)
        decisions.pruning.tracking.event(event, now)
        self.publication.tell(event, correlation, now, record=record)
        if event.action in EXEC_ACTIONS:
            return
        out.look_again |= event.kind is EventKind.SERVICE
        if of_container and event.action == "destroy":
            self.hangs.gone(container_id)
            decisions.under_way.settling.gone(container_id, now)
        if record is not None and (known is None or inspected_after(event)) and container_id in self.state.containers:
            out.inspect[container_id] = None
        if of_container and event.action in READ_ANEW_AFTER:
            out.anew.append(container_id)
        if of_container:
            decisions.sees(container_id, now, killed=event.action == "oom")
        if record is not None:
            self.causes.take(event, record, now)
        if own is None and not by_us:  # what the agent itself caused triggers nothing
            decisions.trigger(event, record, correlation, now)

    # --- listings and inspections ---------------------------------------------------------------------

    def inventory(self, inventory: InventoryObserved, now: Instant) -> None:
        """Take in a listing of all containers, and what it shows that no event had told."""
        self._watch.alive(now)
        first = not self.state.baseline
        if inventory.listening_since is not None:
            self._handled(inventory.listening_since)
        for event in self.state.apply_inventory(inventory):
            self._event(event, now)
        if first:
            self._remember_baseline(inventory.at)
            self.causes.listed_first(now)
        settling = self.decisions.under_way.settling
        settling.engine_is_back(now)
        self.publication.clear_ghosts()
        self._watch.listed(now)
        self.publication.out.inspect.update(dict.fromkeys(self.state.containers))
        for target in list(settling.intents):
            if target not in self.state.containers:
                settling.gone(target, now)

    def inspection(self, seen: ContainerObserved, now: Instant) -> None:
        """Take in an inspection, and what it shows that no event had told."""
        self._watch.alive(now)
        self.hangs.answered(seen, now)
        again, events = self.state.apply_inspection(seen)
        if again:
            self.publication.out.inspect[seen.container_id] = None
            return
        self.decisions.resizing.inspected(seen.container_id)
        for event in events:
            self._event(event, now)
        self.decisions.under_way.settling.settle(seen, now)

    # --- the engine itself ----------------------------------------------------------------------------

    def told(self, seen: EngineTold | DiskTold | InspectionHung, now: Instant) -> None:
        """Take in all else: how the engine is, what it keeps on its disk, what of it hangs."""
        if isinstance(seen, InspectionHung):
            self.hangs.hung(seen, now)
            return
        if isinstance(seen, DiskTold):
            self.decisions.prune_wishes.disk_seen(seen, now)
            return
        if isinstance(seen, EngineFound) and seen.restarted:
            self.causes.engine_restarted()
        if isinstance(seen, EngineLost):
            self.hangs.engine_lost()
        self._watch.take(seen, now)
        self.decisions.pruning.tracking.engine(seen, now)

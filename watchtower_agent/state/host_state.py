"""HostState: the one picture of this host. Owned by one task; every change reaches it through `apply_…`.

Pure: no I/O, no clock. What an `apply_…` concludes that the engine did not say (a difference between two
listings) comes back as synthetic events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace

from watchtower_agent.model.container import Container, ContainerDetail
from watchtower_agent.model.engine_event import EXEC_ACTIONS, EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import AHEAD, Instant
from watchtower_agent.model.observation import ContainerObserved, InventoryObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import HANDS_OFF, EndCause
from watchtower_agent.state.averages import Averages
from watchtower_agent.state.clock_steps import ClockSteps, Stamped
from watchtower_agent.state.differences import appeared, changes, vanished
from watchtower_agent.state.engine_state import EngineState
from watchtower_agent.state.history import History
from watchtower_agent.state.life import TOLD_WITHIN
from watchtower_agent.state.own_action import own_action
from watchtower_agent.state.record import ContainerRecord, change, end_not_seen, judge_signal_anew, met
from watchtower_agent.state.sampled import OF_LIMITS, learn_oom_kills, sampled
from watchtower_agent.state.services import Services
from watchtower_agent.state.sightings import (
    as_inspected,
    concluded,
    described_anew,
    may_be_on_its_way,
    not_told,
    take_as_baseline,
    under_its_image,
)

_TOMBSTONES = 4096
"""Removed containers that are remembered, so that what was asked about them before does not bring them back."""

_INSPECT_AFTER = frozenset({"create", "start", "restart", "die", "update", "health_status", "oom"})
"""Actions after which an inspection tells something that the event did not."""

READ_ANEW_AFTER = frozenset({"start", "update", "oom"})
"""Actions after which what the sampler reads seldom is out of date: limits, the count of OOM kills."""


def inspected_after(event: EngineEvent) -> bool:
    """Whether an inspection tells something that this event of a container did not.

    A rename tells all that it changes: Docker Engine's with the new name, which no label can hide.
    """
    renamed = event.action == "rename" and (event.podman or event.name == event.actor_id)
    return renamed or event.action in _INSPECT_AFTER


@dataclass(slots=True)
class HostState:
    """Containers, engine and newest samples of this host."""

    host: str
    containers: dict[str, ContainerRecord] = field(default_factory=dict)
    engine: EngineState = field(default_factory=EngineState)
    samples: SampleBatch | None = None
    slots: dict[str, int] = field(default_factory=dict)
    baseline: bool = False
    """True once the containers of a listing, of this run or an earlier one, are known: from then on a
    difference is an event."""
    changed: set[str] = field(default_factory=set)
    """Ids whose record changed since the pipeline last asked."""
    removed: set[str] = field(default_factory=set)
    """Ids of containers that went since the pipeline last asked."""
    names_gone: set[str] = field(default_factory=set)
    """Names that a container gave up since the pipeline last asked: it went, or was renamed."""
    history: History = field(default_factory=History)
    """The recent past of what conditions ask about."""
    averages: Averages = field(default_factory=Averages)
    """The longer past of what people look back at."""
    services: Services = field(default_factory=Services)
    """What is known of services beyond the containers here."""
    clock: ClockSteps = field(default_factory=ClockSteps)
    """How often the wall clock was set."""
    other_limits: set[str] = field(default_factory=set)
    """Ids of containers whose limits were changed since they were last read."""
    _tombstones: dict[str, int] = field(default_factory=dict)
    """Ids of removed containers, with the position of the event that told."""

    # --- events -------------------------------------------------------------------------------------

    def apply_event(self, event: EngineEvent) -> ContainerRecord | None:
        """Take one engine event in. Gives the record it is about, also when the event ends the record."""
        self.engine.events += event.origin is not Origin.SYNTHETIC
        if event.kind is not EventKind.CONTAINER or not event.actor_id:
            return None  # a `prune` is about none of them
        record = self.containers.get(event.actor_id)
        if event.action in EXEC_ACTIONS:
            return record  # changes nothing of the container, so nothing that was asked before is out of date
        if record is None:
            if event.action == "destroy" or event.actor_id in self._tombstones:
                return None
            record = self.containers[event.actor_id] = met(event)
        record.last_position = max(record.last_position, event.position)
        record.doubted = None
        name = record.container.name
        if event.action in {"oom", "die"}:
            learn_oom_kills(record, event, self.samples, self.slots.get(event.actor_id))
        change(record, event, uncertain_until=self.engine.uncertain_until)
        if record.container.name != name:
            self.names_gone.add(name)
        if event.action == "start" and self.samples is not None:
            self.history.renew(event.actor_id, self.samples.columns)
        if event.action == "update":
            self.other_limits.add(event.actor_id)
        if event.action == "destroy":
            self._forget(record)
        else:
            self.changed.add(event.actor_id)
        return record

    def _forget(self, record: ContainerRecord) -> None:
        container_id = record.container.id
        del self.containers[container_id]
        self.other_limits.discard(container_id)
        self.averages.forget(container_id)
        self.changed.discard(container_id)
        self.removed.add(container_id)
        self.names_gone.add(record.container.name)
        self._tombstones[container_id] = record.last_position
        if len(self._tombstones) > _TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    # --- listings and inspections -------------------------------------------------------------------

    def apply_inventory(self, inventory: InventoryObserved) -> list[EngineEvent]:
        """Compare a listing with what is known; the differences come back as synthetic events, to be applied in turn.

        On the first start ever there are none: what is there is the baseline.
        """
        self.engine.listed = True
        if not self.baseline:
            self._take_as_baseline(inventory)
            return []
        engine_id = self.engine.id
        events = self._vanished(inventory)
        for container in inventory.containers:
            known = self.containers.get(container.id)
            if known is None:
                if self._tombstones.get(container.id, -1) > inventory.after_position:
                    continue  # removed since the listing was asked for
                self._adopt(container)
                events.extend(concluded(container, appeared(container), inventory.at, engine_id=engine_id))
            elif known.last_position <= inventory.after_position:
                seen = under_its_image(known, container)
                events.extend(concluded(seen, changes(known.container, seen), inventory.at, engine_id=engine_id))
                self._redescribe(known, described_anew(known, seen))
        return events

    def _take_as_baseline(self, inventory: InventoryObserved) -> None:
        self.baseline = True
        listed = {container.id: container for container in inventory.containers}
        for record in list(self.containers.values()):
            container = listed.pop(record.container.id, None)
            if record.last_position > inventory.after_position:
                continue  # events told something newer
            if container is None:
                self._forget(record)
                continue
            take_as_baseline(record, container)
            self.changed.add(container.id)
        for container in listed.values():
            if self._tombstones.get(container.id, -1) <= inventory.after_position:
                self._adopt(container)

    def _vanished(self, inventory: InventoryObserved) -> list[EngineEvent]:
        listed = {container.id for container in inventory.containers}
        return [
            event
            for container_id, record in self.containers.items()
            if record.last_position <= inventory.after_position and container_id not in listed
            for event in concluded(record.container, vanished(record.container), inventory.at, engine_id=self.engine.id)
        ]

    def _adopt(self, container: Container) -> None:
        self.containers[container.id] = ContainerRecord(container=container, end_cause=end_not_seen(container))
        self.changed.add(container.id)

    def apply_inspection(self, seen: ContainerObserved) -> tuple[bool, list[EngineEvent]]:
        """Take one inspection in.

        Returns:
            Whether it has to be asked for again, since a later event overtook it or one that would explain it may be
            on its way; and synthetic events for what it shows that no event had told.
        """
        record = self.containers.get(seen.container_id)
        if record is None:
            return False, []
        if record.last_position > seen.after_position:
            return True, []
        events = not_told(record, seen, baseline=self.baseline, engine_id=self.engine.id)
        # Until the engine was listed anew, what it told meanwhile may still be replayed.
        if events and (not self.engine.listed or may_be_on_its_way(record, seen.at)):
            return True, []
        record.doubted = None
        fresh = seen.container
        if fresh is None:
            return False, events
        if fresh.detail is not None:
            self._started(record, fresh.detail.started_at)
        uninspected = record.container.detail is None
        self._redescribe(record, as_inspected(record, fresh, {event.action for event in events}))
        if uninspected:
            judge_signal_anew(record, uncertain_until=self.engine.uncertain_until)
        return False, events

    def _started(self, record: ContainerRecord, at: float | None) -> None:
        """An inspection tells exactly what an event told."""
        if not at:
            return
        if record.started is not None and 0 <= record.started - at <= TOLD_WITHIN:
            self.clock.told_anew(record.container.id, at, record.started)
            if record.set_back_since == record.started:
                record.set_back_since = at
        record.started = at

    def _redescribe(self, record: ContainerRecord, fresh: Container) -> None:
        # A listing tells whole seconds of when it was created, an inspection more.
        self.clock.told_anew(fresh.id, fresh.created_at, record.container.created_at)
        if fresh.name != record.container.name:
            self.names_gone.add(record.container.name)
        record.container = fresh
        self.changed.add(fresh.id)

    # --- samples, actions ---------------------------------------------------------------------------

    def apply_samples(self, batch: SampleBatch) -> None:
        """Keep the newest tick, and let the averages take it in."""
        if self.samples is None or self.samples.targets is not batch.targets:
            self.slots = {target.container_id: slot for slot, target in enumerate(batch.targets)}
        self.samples = batch
        self.other_limits -= batch.anew
        self.averages.add(batch, self.containers)

    def apply_intent(self, intent: Intent, *, until: float | None = None) -> None:
        """The agent is about to act on a container: what happens to it now is ours.

        Args:
            intent: What it is about to do.
            until: Of an action that an earlier run of the agent began: when the engine must have done it. What comes
                later is not ours, and what its own record remembers of it stays.
        """
        record = self.containers.get(intent.decision.target.id)
        if record is None:
            return
        own = record.own
        same = own is not None and own.correlation_id == intent.decision.correlation_id and own.begun >= intent.at
        if until is not None and record.own is not None and same:
            record.own = record.own if record.own.complete else replace(record.own, ended=until)
        else:
            record.own = own_action(intent, record.container, ended=until)
        self.changed.add(record.container.id)

    def apply_outcome(self, outcome: Outcome) -> None:
        """The agent's action ended: what happens to the container from soon on is not ours any more."""
        record = self.containers.get(outcome.decision.target.id)
        if record is None or record.own is None:
            return
        if outcome.result is Result.ABANDONED:
            record.own = None
        elif outcome.result is not Result.INTERRUPTED and not record.own.complete:
            record.own = replace(record.own, ended=outcome.finished_at)
        self.changed.add(outcome.decision.target.id)

    def ended_by_agent(self, container_id: str) -> None:
        """It turned out that an action of the agent ended the container, which nobody had seen."""
        record = self.containers.get(container_id)
        if record is not None and record.end_cause is EndCause.UNKNOWN:
            record.end_cause = EndCause.AGENT
            self.changed.add(container_id)

    def end_in_doubt(self, container_id: str, ended: float | None, *, within: float) -> bool:
        """Whether somebody else may have ended the container before the engine did, if it ever did, what it was asked.

        Then how it ended is not known: who stopped it on purpose must find it stopped.

        Args:
            container_id: Of the action's target.
            ended: When it ended, seconds since the epoch; None when that is not known.
            within: Seconds after the intent up to which that is the action's own doing.
        """
        record = self.containers.get(container_id)
        if record is None or record.own is None or record.own.began_at_once(ended, within=within):
            return False
        if record.end_cause is EndCause.AGENT:
            record.end_cause = EndCause.UNKNOWN
            self.changed.add(container_id)
        return True

    def operator_acts_move(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: what a person did counts for as long as before."""
        for container_id, record in self.containers.items():
            if record.operator is not None:
                record.operator = replace(record.operator, until=record.operator.until + step)
                self.changed.add(container_id)

    def operator_acts_end(self, now: float) -> None:
        """Forget what a person did to a running container once it does not count any more; `now` in wall time."""
        for record in self.containers.values():
            act = record.operator
            if act is None or not record.container.running:
                continue
            if act.until <= now:
                record.operator = None
            elif act.until > now + HANDS_OFF:  # the clock was stepped back
                record.operator = replace(act, until=now + HANDS_OFF)
            else:
                continue
            self.changed.add(record.container.id)

    def gaps_end(self, now: float) -> None:
        """No gap reaches into the future, unless the clock was stepped back; `now` in wall time."""
        self.engine.uncertain_until = min(self.engine.uncertain_until, now + self.engine.clock_offset)

    # --- ages ---------------------------------------------------------------------------------------

    def look_at_clock(self, now: Instant) -> bool:
        """Look whether the wall clock was set. Gives whether the next run must know of what was seen."""
        step = self.clock.look(now, () if self.engine.elsewhere else self._stamps())
        if step and self.engine.elsewhere:
            self.engine.clock_offset -= step  # its clock was not set with ours
        elif step:
            self.mark_starts()
        return step is not None

    def mark_starts(self) -> None:
        """Of containers whose start the clock may show again: what is stamped from now on may seem to be earlier."""
        for container_id, record in self.containers.items():
            if record.started is not None and (container_id, record.started) in self.clock.known:
                record.set_back_since = record.started

    def _stamps(self) -> Iterator[Stamped]:
        """All that stay, and whose age is asked for."""
        yield "", self.engine.since
        if self.engine.info is not None and self.engine.info.started_at is not None:
            yield "", self.engine.info.started_at
        for container_id, record in self.containers.items():
            yield container_id, record.container.created_at
            if record.started is not None:
                yield container_id, record.started

    def age(self, stamp: float, now: Instant, of: str = "") -> float | None:
        """Seconds since the engine made a stamp, however often the clock was set since; None for one of the future.

        Args:
            stamp: Seconds since the epoch.
            now: The present.
            of: Id of the container in whose record it stands: then it is known to be no younger than that.
        """
        if not self.engine.elsewhere:
            return self.clock.age(stamp, now, of)
        age = now.wall + self.engine.clock_offset - stamp
        return max(0.0, age) if age >= -AHEAD else None

    def uptime(self, record: ContainerRecord, now: Instant) -> float | None:
        """Seconds since a container's present life began; None when it does not run, or that is not known."""
        if record.started is None or not record.container.running:
            return None
        return self.age(record.started, now, record.container.id)

    # --- values -------------------------------------------------------------------------------------

    def metric(self, container_id: str, name: str, now: Instant) -> float | None:
        """A sampled value of a container at the newest tick; None when unknown or older than three intervals."""
        batch = self.samples
        slot = self.slots.get(container_id)
        if batch is None or slot is None or batch.out_of_date(now):
            return None
        if name in OF_LIMITS and container_id in self.other_limits:
            return None
        return sampled(batch, slot, self.containers.get(container_id), name, now.wall)

    def host_metric(self, name: str, now: Instant) -> float | None:
        """A sampled value of the host; None when unknown or older than three intervals."""
        batch = self.samples
        if batch is None or batch.out_of_date(now):
            return None
        return batch.host.get(name)

    def detail(self, container_id: str) -> ContainerDetail | None:
        """What only an inspection told of a container, if there was one."""
        record = self.containers.get(container_id)
        return record.container.detail if record else None

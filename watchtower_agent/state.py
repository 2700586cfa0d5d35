"""HostState: the one picture of this host. Owned by one task; every change reaches it through `apply_…`.

Pure: no I/O, no clock. What an `apply_…` concludes that the engine did not say (a difference between two
listings) comes back as synthetic events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from watchtower_agent.attribution import (
    EndCause,
    OperatorIntent,
    OwnAction,
    end_cause,
    is_terminating,
    operator_act,
)
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.fact import ContainerView
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import ContainerObserved, EngineInfo, InventoryObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch, SampleTarget

RESTARTED_BY_ENGINE = frozenset({"always", "unless-stopped", "on-failure"})
"""Restart policies under which the engine starts an ended container again by itself."""

_EVENT_ONLY_ATTRIBUTES = frozenset({"name", "image", "exitCode", "signal", "execDuration", "execID", "oldName"})
"""Attributes of a container event that are not labels."""

_STATUS_AFTER: Mapping[str, ContainerStatus] = {
    "create": ContainerStatus.CREATED,
    "start": ContainerStatus.RUNNING,
    "unpause": ContainerStatus.RUNNING,
    "restart": ContainerStatus.RUNNING,
    "pause": ContainerStatus.PAUSED,
    "die": ContainerStatus.EXITED,
    "stop": ContainerStatus.EXITED,
}

INSPECT_AFTER = frozenset({"create", "start", "restart", "die", "rename", "update", "health_status", "oom"})
"""Actions after which an inspection tells something that the event did not."""


@dataclass(slots=True, kw_only=True)
class ContainerRecord:
    """What is known of one container. Changed by HostState alone.

    Attributes:
        container: As the engine describes it, events applied.
        last_position: Position of the last event applied to it.
        restarts: Starts that followed an end, by whomever, since the container was created.
        restarts_by_agent: Those of them that the agent made.
        started: When its present life began, as far as events or inspections told; seconds since the epoch.
        ended: When it last ended, seconds since the epoch.
        exit_code: Of the last end; None while it never ended, or not known.
        end_cause: Who ended it.
        operator: What a person last did to it, as long as it counts.
        kill_at: When a terminating signal that was not ours was last sent in this life; None if none was.
        kill_signal: Which.
        own: The agent's newest action on it.
        settled_after_end: An inspection made after its last end found it `exited`: the engine leaves it so.
        oom_kills: `oom` events in this life.
    """

    container: Container
    last_position: int = 0
    restarts: int = 0
    restarts_by_agent: int = 0
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    end_cause: EndCause = EndCause.NONE
    operator: OperatorIntent | None = None
    kill_at: float | None = None
    kill_signal: str = ""
    own: OwnAction | None = None
    settled_after_end: bool = False
    oom_kills: int = 0


@dataclass(slots=True, kw_only=True)
class EngineState:
    """The engine as a service.

    Attributes:
        info: Which engine; None before it was first found.
        connected: Its event stream is open.
        responding: It answered the last ping.
        latency: Of the last ping, seconds; None before the first.
        event_lag: Between the engine's stamp and our handling of the newest event, seconds.
        since: When `connected` last changed, seconds since the epoch.
        listed: The inventory was listed since the engine was last found.
        restarts: Of the daemon, seen by the agent.
        last_error: Why it was last lost; empty while it is there.
        gaps: Gaps in its events since the agent started.
        events: Its events handled since the agent started.
        uncertain_until: Events were lost up to then, seconds since the epoch: what they would have told of a later
            end (a `kill` before a `die`) may be among them.
    """

    info: EngineInfo | None = None
    connected: bool = False
    responding: bool | None = None
    latency: float | None = None
    event_lag: float | None = None
    since: float = 0.0
    listed: bool = False
    restarts: int = 0
    last_error: str = ""
    gaps: int = 0
    events: int = 0
    uncertain_until: float = 0.0


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

    # --- events -------------------------------------------------------------------------------------

    def apply_event(self, event: EngineEvent) -> ContainerRecord | None:
        """Take one engine event in. Gives the record it is about, also when the event ends the record."""
        self.engine.events += event.origin is not Origin.SYNTHETIC
        if event.kind is not EventKind.CONTAINER:
            return None
        record = self.containers.get(event.actor_id)
        if record is None:
            if event.action == "destroy":
                return None
            record = self._meet(event)
        record.last_position = max(record.last_position, event.position)
        if event.action.startswith("exec_"):
            return record
        name = record.container.name
        self._change(record, event)
        if record.container.name != name:
            self.names_gone.add(name)
        if event.action == "destroy":
            self._forget(event.actor_id)
        else:
            self.changed.add(event.actor_id)
        return record

    def _meet(self, event: EngineEvent) -> ContainerRecord:
        labels = {k: v for k, v in event.attributes.items() if k not in _EVENT_ONLY_ATTRIBUTES}
        status = _STATUS_AFTER.get(event.action, ContainerStatus.RUNNING)
        record = ContainerRecord(
            container=Container(
                id=event.actor_id,
                name=event.name,
                image=event.attributes.get("image", ""),
                labels=labels,
                status=status,
                created_at=event.time,
            )
        )
        self.containers[event.actor_id] = record
        return record

    def _change(self, record: ContainerRecord, event: EngineEvent) -> None:
        ours = record.own is not None and record.own.covers(event)
        if ours and record.own is not None:
            record.own = record.own.after(event)
        match event.action:
            case "kill" if not ours:
                self._signal(record, event)
            case "die":
                self._end(record, event, ours=ours)
            case "stop" | "restart" if not ours:
                record.operator = operator_act(event.action, event.time)
                if event.action == "stop":
                    record.end_cause, record.settled_after_end = EndCause.OPERATOR, True
            case "start":
                self._begin(record, event, ours=ours)
            case "oom":
                record.oom_kills += 1
            case _:
                record.container = _described(record.container, event)

    def _signal(self, record: ContainerRecord, event: EngineEvent) -> None:
        signal = event.attributes.get("signal", "")
        detail = record.container.detail
        if is_terminating(signal, detail.stop_signal if detail else "SIGTERM"):
            record.kill_at, record.kill_signal = event.time, signal

    def _end(self, record: ContainerRecord, event: EngineEvent, *, ours: bool) -> None:
        detail = record.container.detail
        record.ended = event.time
        record.exit_code = _integer(event.attributes.get("exitCode"))
        record.settled_after_end = False
        record.end_cause = end_cause(
            event,
            ours=ours,
            kill_at=record.kill_at,
            kill_signal=record.kill_signal,
            uncertain_until=self.engine.uncertain_until,
        )
        if record.end_cause is EndCause.OPERATOR:
            record.operator = operator_act("kill" if event.origin is not Origin.SYNTHETIC else "stop", event.time)
        # The engine itself starts it again under a restart policy: until an inspection says otherwise, it will.
        comes_back = (
            detail is not None
            and detail.restart_policy in RESTARTED_BY_ENGINE
            and record.end_cause is not EndCause.OPERATOR
            and not (detail.restart_policy == "on-failure" and record.exit_code == 0)
        )
        status = ContainerStatus.RESTARTING if comes_back else ContainerStatus.EXITED
        if detail is not None:
            detail = replace(detail, pid=0, finished_at=event.time, exit_code=record.exit_code)
        record.container = replace(record.container, status=status, detail=detail)

    def _begin(self, record: ContainerRecord, event: EngineEvent, *, ours: bool) -> None:
        if record.ended is not None:
            record.restarts += 1
            record.restarts_by_agent += ours
        # Started by hand what was stopped by hand: the operator wants it to run again. A `restart` by hand
        # is marked by its own event, which comes last.
        record.operator = None
        record.end_cause = EndCause.NONE
        record.kill_at, record.kill_signal = None, ""
        record.started = event.time
        record.oom_kills = 0
        detail = record.container.detail
        health = record.container.health
        if detail is not None:
            # pid and the exact StartedAt are known after the next inspection; what the check demands stays.
            detail = replace(detail, pid=0, started_at=None, oom_killed=False, failing_streak=None)
        if health is not Health.NONE:
            health = Health.STARTING
        record.container = replace(record.container, status=ContainerStatus.RUNNING, health=health, detail=detail)

    def _forget(self, container_id: str) -> None:
        record = self.containers.pop(container_id)
        self.changed.discard(container_id)
        self.removed.add(container_id)
        self.names_gone.add(record.container.name)

    # --- listings and inspections -------------------------------------------------------------------

    def apply_inventory(self, inventory: InventoryObserved) -> list[EngineEvent]:
        """Compare a listing with what is known; the differences come back as synthetic events, to be applied in turn.

        On the first start ever there are none: what is there is the baseline.
        """
        self.engine.listed = True
        if not self.baseline:
            self.baseline = True
            for container in inventory.containers:
                self._adopt(container)
            return []
        events = self._vanished(inventory)
        for container in inventory.containers:
            known = self.containers.get(container.id)
            if known is None:
                self._adopt(container)
                events.append(self._conclude(container, "create", inventory.at))
                if container.running:
                    events.append(self._conclude(container, "start", inventory.at))
            elif known.last_position <= inventory.after_position:
                events.extend(self._differences(known.container, container, inventory.at))
                self._describe_anew(known, container)
        return events

    def _vanished(self, inventory: InventoryObserved) -> list[EngineEvent]:
        listed = {container.id for container in inventory.containers}
        events: list[EngineEvent] = []
        for container_id, record in self.containers.items():
            if record.last_position <= inventory.after_position and container_id not in listed:
                if record.container.running:
                    events.append(self._conclude(record.container, "die", inventory.at))
                events.append(self._conclude(record.container, "destroy", inventory.at))
        return events

    def _describe_anew(self, known: ContainerRecord, listed: Container) -> None:
        """Names, networks and labels of a listing are newer than what is known; states come with the events."""
        was = known.container
        if was.name != listed.name:
            self.names_gone.add(was.name)
        known.container = replace(listed, status=was.status, health=was.health, detail=was.detail)
        self.changed.add(listed.id)

    def _adopt(self, container: Container) -> None:
        self.containers[container.id] = ContainerRecord(container=container)
        self.changed.add(container.id)

    def _differences(self, known: Container, listed: Container, at: float) -> Iterable[EngineEvent]:
        was, now = known.running, listed.running
        if was and not now:
            yield self._conclude(listed, "die", at)
        elif now and not was:
            yield self._conclude(listed, "start", at)
        elif known.status is ContainerStatus.RUNNING and listed.status is ContainerStatus.PAUSED:
            yield self._conclude(listed, "pause", at)
        elif known.status is ContainerStatus.PAUSED and listed.status is ContainerStatus.RUNNING:
            yield self._conclude(listed, "unpause", at)
        if now and listed.health is not known.health and listed.health is not Health.NONE:
            yield self._conclude(listed, "health_status", at, detail=str(listed.health))

    def _conclude(self, container: Container, action: str, at: float, *, detail: str = "") -> EngineEvent:
        """A synthetic event: it happened while nobody could see it."""
        time_ns = int(at * 1e9)
        engine = self.engine.info.id if self.engine.info else ""
        digest = hashlib.sha256(f"synthetic\0{engine}\0{time_ns}\0{action}\0{detail}\0{container.id}".encode())
        return EngineEvent(
            id=digest.hexdigest()[:32],
            kind=EventKind.CONTAINER,
            action=action,
            detail=detail,
            actor_id=container.id,
            attributes={"name": container.name, "image": container.image, **container.labels},
            time_ns=time_ns,
            origin=Origin.SYNTHETIC,
        )

    def apply_inspection(self, seen: ContainerObserved) -> tuple[bool, list[EngineEvent]]:
        """Take one inspection in.

        Returns:
            Whether it has to be asked for again, since a later event overtook it; and synthetic events for what
            it shows that no event had told.
        """
        record = self.containers.get(seen.container_id)
        if record is None:
            return False, []
        if record.last_position > seen.after_position:
            return True, []
        if seen.container is None:
            events = [self._conclude(record.container, "destroy", seen.at)]
            return False, events
        self.changed.add(seen.container_id)
        events = self._missed(record, seen)
        fresh = seen.container
        detail = fresh.detail
        if detail is not None:
            record.started = detail.started_at or record.started
            record.exit_code = detail.exit_code if not fresh.running else record.exit_code
            record.ended = detail.finished_at or record.ended
            record.settled_after_end = fresh.status is ContainerStatus.EXITED
        if events:  # the states come with the events
            fresh = replace(fresh, status=record.container.status, health=record.container.health)
        record.container = fresh
        return False, events

    def _missed(self, record: ContainerRecord, seen: ContainerObserved) -> list[EngineEvent]:
        known, fresh = record.container, seen.container
        if fresh is None or not self.baseline:
            return []
        events = list(self._differences(known, fresh, seen.at))
        before = known.detail.started_at if known.detail else None
        after = fresh.detail.started_at if fresh.detail else None
        if not events and fresh.running and before is not None and after is not None and after > before:
            events = [self._conclude(fresh, "die", seen.at), self._conclude(fresh, "start", seen.at)]
        return events

    # --- samples, actions ---------------------------------------------------------------------------

    def apply_samples(self, batch: SampleBatch) -> None:
        """Keep the newest tick."""
        if self.samples is None or self.samples.targets is not batch.targets:
            self.slots = {target.container_id: slot for slot, target in enumerate(batch.targets)}
        self.samples = batch

    def apply_intent(self, intent: Intent) -> None:
        """The agent is about to act on a container: what happens to it now is ours."""
        record = self.containers.get(intent.decision.target.id)
        if record is not None:
            record.own = OwnAction(
                verb=intent.decision.verb,
                begun=intent.at,
                ended=None,
                correlation_id=intent.decision.correlation_id,
            )

    def apply_outcome(self, outcome: Outcome) -> None:
        """The agent's action ended: what happens to the container from soon on is not ours any more."""
        record = self.containers.get(outcome.decision.target.id)
        if record is None or record.own is None:
            return
        if outcome.result is Result.ABANDONED:
            record.own = None
        elif not record.own.complete:
            record.own = replace(record.own, ended=outcome.finished_at)
        self.changed.add(outcome.decision.target.id)

    # --- views --------------------------------------------------------------------------------------

    def metric(self, container_id: str, name: str, now: Instant) -> float | None:
        """A sampled value of a container at the newest tick; None when unknown or older than three intervals."""
        batch = self.samples
        slot = self.slots.get(container_id)
        if batch is None or slot is None or now.monotonic - batch.at.monotonic > 3 * batch.interval:
            return None
        column = batch.columns.get(name)
        if column is None:
            return None
        number = column[slot]
        return None if number != number else number  # noqa: PLR0124 - NaN is the one number that differs from itself

    def host_metric(self, name: str, now: Instant) -> float | None:
        """A sampled value of the host; None when unknown or older than three intervals."""
        batch = self.samples
        if batch is None or now.monotonic - batch.at.monotonic > 3 * batch.interval:
            return None
        return batch.host.get(name)

    def sample_targets(self) -> tuple[SampleTarget, ...]:
        """The containers whose processes exist."""
        return tuple(
            SampleTarget(
                container_id=record.container.id,
                started_at=record.container.detail.started_at if record.container.detail else None,
                pid=record.container.detail.pid if record.container.detail else 0,
                cgroup_parent=record.container.detail.cgroup_parent if record.container.detail else "",
            )
            for record in self.containers.values()
            if record.container.running
        )

    def view(self, record: ContainerRecord, now: Instant | None = None) -> ContainerView:
        """The record as it is published; with the newest sample when `now` is given."""
        sample: dict[str, float] = {}
        if now is not None and self.samples is not None:
            for name in self.samples.columns:
                number = self.metric(record.container.id, name, now)
                if number is not None:
                    sample[name] = number
        operator = record.operator
        return ContainerView(
            container=record.container,
            restarts=record.restarts,
            restarts_by_agent=record.restarts_by_agent,
            operator_action=operator.action if operator else "",
            operator_action_at=operator.at if operator else None,
            hands_off_until=operator.until if operator and record.container.running else None,
            last_sample=sample,
        )

    def detail(self, container_id: str) -> ContainerDetail | None:
        """What only an inspection told of a container, if there was one."""
        record = self.containers.get(container_id)
        return record.container.detail if record else None


def _described(container: Container, event: EngineEvent) -> Container:
    """The container after an event that only changes how it is described."""
    match event.action:
        case "pause":
            return replace(container, status=ContainerStatus.PAUSED)
        case "unpause":
            return replace(container, status=ContainerStatus.RUNNING)
        case "health_status" if event.detail in set(Health):
            return replace(container, health=Health(event.detail))
        case "rename":
            return replace(container, name=event.name.lstrip("/"))
        case _:
            return container


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None

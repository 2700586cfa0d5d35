"""Whom conditions are asked about: the value of every catalogue name, for a container, the host or an event. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value
from watchtower_agent.state.history import HOST
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord, integer, own_attribute


def _known(value: float | str | bool | None) -> Value:  # noqa: FBT001 - a value of any type, not a switch
    return UNKNOWN if value is None else value


_CONTAINER: Mapping[str, Callable[[ContainerRecord], Value]] = {
    "status": lambda r: UNKNOWN if r.container.status is None else r.container.status.value,
    "health": lambda r: (
        UNKNOWN if r.container.status is None else (r.container.health if r.container.running else Health.NONE).value
    ),
    "health.failing_streak": lambda r: _known(r.container.detail.failing_streak if r.container.detail else None),
    "exit_code": lambda r: _known(r.exit_code),
    "restarts": lambda r: r.restarts,
    "restarts_by_agent": lambda r: r.restarts_by_agent,
    "name": lambda r: r.container.name,
    "image": lambda r: r.container.image,
    "image.id": lambda r: r.container.image_id or UNKNOWN,
}
"""What the engine tells of a container. The health of one that does not run is `none`: nothing checks it."""

_AGES: Mapping[str, Callable[[HostState, ContainerRecord, Instant], float | None]] = {
    "age": lambda state, r, now: state.age(r.container.created_at, now, r.container.id),
    "uptime": lambda state, r, now: state.uptime(r, now),
}
"""How long ago that was which the engine tells of a container."""

_STOPPED: frozenset[str] = frozenset(ContainerStatus) - {"running", "paused"}
"""As `docker info` counts: one that waits for its next start does not run, and none is left out."""

_ENGINE: Mapping[str, Callable[[HostState], Value]] = {
    "engine.responding": lambda s: _known(s.engine.responding),
    # Not known before the first try has ended: the agent's start is no loss of the engine.
    "engine.connected": lambda s: UNKNOWN if s.engine.responding is None else s.engine.connected,
    "engine.latency": lambda s: _known(s.engine.latency),
    "engine.event_lag": lambda s: _known(s.engine.event_lag),
    "engine.restarts": lambda s: s.engine.restarts,
    "engine.containers.running": lambda s: _count(s, frozenset({"running"})),
    "engine.containers.paused": lambda s: _count(s, frozenset({"paused"})),
    "engine.containers.stopped": lambda s: _count(s, _STOPPED),
    "engine.images": lambda s: _known(s.engine.images),
}


def _count(state: HostState, statuses: frozenset[str]) -> Value:
    if not (state.engine.connected and state.engine.listed):
        return UNKNOWN
    known = [record.container.status for record in state.containers.values()]
    return UNKNOWN if None in known else sum(1 for status in known if status in statuses)


def engine_values(state: HostState) -> dict[str, float]:
    """Every `engine.…` number that is known, as the metrics batch carries it (booleans as 0 and 1)."""
    told = _numbers({name: read(state) for name, read in _ENGINE.items()})
    sampled = state.samples.host if state.samples is not None else {}
    return told | {name: number for name, number in sampled.items() if name.startswith("engine.")}


def remember(state: HostState, now: Instant, interval: float) -> None:
    """Let the state's history take in this tick: whatever the windows of conditions ask about.

    Args:
        state: With the newest samples applied.
        now: The tick.
        interval: Seconds between ticks.
    """
    history = state.history
    host = HostSubject(state, now)
    values: dict[str, dict[str, float]] = {}
    for name in history.names:
        if name.startswith(("host.", "engine.")):
            values[name] = _numbers({HOST: host.value(name)})
        else:
            subjects = ((key, ContainerSubject(state, now, record)) for key, record in state.containers.items())
            values[name] = _numbers({key: subject.value(name) for key, subject in subjects})
    history.add(now.monotonic, interval, (HOST, *state.containers) if values else (), values)


def _numbers(values: Mapping[str, Value]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}


class HostSubject:
    """The host and its engine; the base of every other subject."""

    __slots__ = ("now", "state")

    def __init__(self, state: HostState, now: Instant) -> None:
        self.state = state
        self.now = now

    def value(self, name: str) -> Value:
        """The value of a `host.…` or `engine.…` name."""
        read = _ENGINE.get(name)
        return _known(self.state.host_metric(name, self.now)) if read is None else read(self.state)

    def window(self, window: Window) -> Value:
        """The past of a `host.…` or `engine.…` name."""
        return _known(self.state.history.value(window, HOST, self.now.monotonic))

    def label(self, key: str) -> Value:  # noqa: ARG002 - the protocol's shape; a host has no labels
        """UNKNOWN: the host has no labels."""
        return UNKNOWN

    def attribute(self, key: str) -> Value:  # noqa: ARG002 - the protocol's shape; no event is at hand
        """UNKNOWN: no event is at hand."""
        return UNKNOWN


class ContainerSubject(HostSubject):
    """One container with its host and engine."""

    __slots__ = ("record",)

    def __init__(self, state: HostState, now: Instant, record: ContainerRecord) -> None:
        super().__init__(state, now)
        self.record = record

    def value(self, name: str) -> Value:
        """The value of any name but an event's. While the engine is lost, what it told is UNKNOWN."""
        read, age = _CONTAINER.get(name), _AGES.get(name)
        if (read or age) and not self.state.engine.connected:
            return UNKNOWN
        if read is not None:
            return read(self.record)
        if age is not None:
            return _known(age(self.state, self.record, self.now))
        if name.startswith(("host.", "engine.")):
            return super().value(name)
        return _known(self.state.metric(self.record.container.id, name, self.now))

    def window(self, window: Window) -> Value:
        """The past of any name. While the engine is lost, that of what it told is UNKNOWN."""
        if window.name.startswith(("host.", "engine.")):
            return super().window(window)
        if (window.name in _CONTAINER or window.name in _AGES) and not self.state.engine.connected:
            return UNKNOWN
        return _known(self.state.history.value(window, self.record.container.id, self.now.monotonic))

    def label(self, key: str) -> Value:
        """A label, the empty text when it is missing."""
        return self.record.container.labels.get(key, "")


class EventSubject:
    """An event, and the container it is about where there is one."""

    __slots__ = ("event", "now", "where")

    def __init__(self, where: HostSubject, event: EngineEvent | Notice, now: Instant) -> None:
        self.where = where
        self.event = event
        self.now = now

    def value(self, name: str) -> Value:
        """The value of an `event.…` name, or of whatever the event is about."""
        if name.startswith("event."):
            return self._of_event(name)
        return self.where.value(name)

    def _of_event(self, name: str) -> Value:
        event = self.event
        match name.removeprefix("event."):
            case "kind":
                value: Value = event.kind.value
            case "action":
                value = event.action
            case "age":
                value = self._age()
            case "name":
                value = event.name if isinstance(event, EngineEvent) else event.subject
            case "exit_code":
                value = _known(integer(self._own("exitCode")))
            case "signal":
                value = self._own("signal") or UNKNOWN
            case _:
                value = UNKNOWN
        return value

    def _age(self) -> float:
        event = self.event
        if isinstance(event, EngineEvent):
            return self.where.state.age(event.time, self.now) or 0.0
        return max(0.0, self.now.wall - event.at)

    def window(self, window: Window) -> Value:
        """The past of whatever the event is about."""
        return self.where.window(window)

    def label(self, key: str) -> Value:
        """A label of the container the event is about."""
        return self.where.label(key)

    def attribute(self, key: str) -> Value:
        """An attribute as the engine gave it, the empty text when it is missing."""
        return self._attributes().get(key, "")

    def _own(self, name: str) -> str:
        container = self.where.record.container if isinstance(self.where, ContainerSubject) else None
        return own_attribute(self.event, container, name) if isinstance(self.event, EngineEvent) else ""

    def _attributes(self) -> Mapping[str, str]:
        if isinstance(self.event, EngineEvent):
            return self.event.attributes
        return {key: str(value) for key, value in self.event.data.items()}

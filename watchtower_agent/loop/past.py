"""The past of one name, for people who look back: what `metrics --last` and the trends of `top` show. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.readings import json_value, known_container
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.catalogue import CATALOGUE, Entry, Scope
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.problem import nearest
from watchtower_agent.state.averages import AVERAGED
from watchtower_agent.state.history import HOST
from watchtower_agent.state.host_state import HostState

TREND: Final = "cpu.percent"
"""Whose trend a line of `top` shows."""
_TREND_SECONDS: Final = 300.0


def past(state: HostState, name: str, container: str | None, last: float, now: Instant) -> dict[str, object]:
    """The averages of a name, with the moments at which their stretches began.

    Args:
        state: The host.
        name: Of the catalogue.
        container: Name, or the begin of an id; None for what is the host's or its engine's.
        last: How many seconds back.
        now: The present. Moments are told by its wall clock, whatever that one showed then.

    Raises:
        PermanentError: There is no such name or container, or its past is not kept.
    """
    entry = _kept(state, name, of_container=container is not None)
    record = known_container(state, container) if container is not None else None
    subject = HostSubject(state, now) if record is None else ContainerSubject(state, now, record)
    series = state.averages.series(entry.name, HOST if record is None else record.container.id, now.monotonic, last)
    began = 0.0 if series is None else now.wall - now.monotonic + series.begin
    return {
        "name": entry.name,
        "unit": entry.unit,
        "container": record.container.name if record is not None else None,
        "at": now.wall,
        "now": json_value(subject.value(entry.name)),
        "kept": state.averages.keep,
        "step": series.step if series is not None else None,
        "points": [
            [round(began + number * series.step, 3), json_value(value)] for number, value in enumerate(series.values)
        ]
        if series is not None
        else [],
    }


def trend(state: HostState, container_id: str, now: Instant) -> list[float | None]:
    """The last five minutes of a container's CPU, None for when it was not known (yet); empty where none are kept."""
    series = state.averages.series(TREND, container_id, now.monotonic, _TREND_SECONDS)
    if series is None:
        return []
    many = max(1, round(_TREND_SECONDS / series.step))
    newest = [None if value is None else round(value, 1) for value in series.values[-many:]]
    return [None] * (many - len(newest)) + newest


def _kept(state: HostState, name: str, *, of_container: bool) -> Entry:
    entry = CATALOGUE.get(name)
    if entry is None:
        near = nearest(name, tuple(CATALOGUE))
        hint = f"did you mean {near}?" if near else "see: watchtower-agent metrics"
        raise PermanentError(f"there is no name {name[:60]!a}; {hint}")
    if entry.scope is Scope.CONTAINER and name not in AVERAGED:
        raise PermanentError(f"the past of {name} is not kept; of containers that of {', '.join(AVERAGED)} is")
    if not entry.sampled:
        raise PermanentError(f"the past of {name} is not kept; of host and engine that of all that is sampled is")
    if state.averages.keep <= 0:
        raise PermanentError("no past is kept; set sampling.history to something like 1h")
    if of_container and entry.scope is not Scope.CONTAINER:
        raise PermanentError(f"{name} is the {entry.scope.value}'s, not a container's; leave the container out")
    if not of_container and entry.scope is Scope.CONTAINER:
        raise PermanentError(f"{name} is a container's; say whose with --of CONTAINER")
    return entry

"""The data of the engine's events. An event's attributes mix labels with facts: only known facts leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EXEC_ACTIONS, EngineEvent, EventKind
from watchtower_agent.model.fact import ContainerView
from watchtower_agent.publishing.decision_data import PUBLIC_ATTRIBUTES
from watchtower_agent.publishing.encoding import clipped
from watchtower_agent.publishing.payloads import (
    LONGEST_NAME,
    AllowedLabels,
    Json,
    container_identity,
    identity,
    known_numbers,
)
from watchtower_agent.publishing.topics import SELF, container_key, image_name, key

_FACTS: Final[Mapping[EventKind, tuple[str, ...]]] = {
    EventKind.IMAGE: ("name", "reclaimed"),
    EventKind.VOLUME: ("driver", "container", "destination", "propagation", "read/write", "reclaimed"),
    EventKind.NETWORK: ("name", "type", "container", "reclaimed"),
    EventKind.DAEMON: ("name",),
    EventKind.PLUGIN: ("name",),
    EventKind.SERVICE: (
        "name",
        "replicas.old",
        "replicas.new",
        "image.old",
        "image.new",
        "updatestate.old",
        "updatestate.new",
    ),
    EventKind.NODE: (
        "name",
        "state.old",
        "state.new",
        "role.old",
        "role.new",
        "availability.old",
        "availability.new",
        "leader.old",
        "leader.new",
    ),
    EventKind.SECRET: ("name",),
    EventKind.CONFIG: ("name",),
    EventKind.BUILDER: ("reclaimed",),
}
"""Attributes that the engine itself writes, by kind. Anything else may be a label or a piece of configuration."""

_NAMED = frozenset({EventKind.VOLUME, EventKind.NETWORK, EventKind.SERVICE})
_SIGNAL = re.compile(r"[A-Z0-9+-]{1,16}\Z")
_VERDICTS: Final = frozenset(health.value for health in Health)
_NUMBER = re.compile(r"-?[0-9]{1,10}\Z")


def name_and_key(event: EngineEvent, view: ContainerView | None) -> tuple[str, str]:
    """The actor's name for people, and the key for the topic."""
    if event.kind is EventKind.CONTAINER:
        # The event's own name, not the picture's: after a rename the picture may be older or newer.
        name = event.attributes.get("name") or (view.container.name if view else event.actor_id[:12])
        return name, container_key(name)
    if event.kind is EventKind.IMAGE:
        name = image_name(event.actor_id, event.attributes.get("name", ""))
        return name, key(name)
    name = event.name
    return name, key(name) if event.kind in _NAMED else SELF


def severity(event: EngineEvent, data: Json) -> Severity:
    """How loudly an event of the engine should be heard."""
    if event.kind is EventKind.CONTAINER:
        if event.action == "oom":
            return Severity.CRITICAL
        if event.action == "die" and data.get("exit_code") != 0:
            return Severity.WARNING
        if event.action == "health_status" and data.get("health") == Health.UNHEALTHY.value:
            return Severity.WARNING
    if event.kind is EventKind.NODE and event.attributes.get("state.new") == "down":
        return Severity.WARNING
    return Severity.INFO


def engine_event_data(event: EngineEvent, view: ContainerView | None, allowed: AllowedLabels) -> Json:
    """What an event of the engine carries: of containers who they are and how they ended, of others the known facts."""
    if event.kind is EventKind.CONTAINER and event.actor_id:
        return _container_event(event, view, allowed)
    attributes = event.attributes
    names = _FACTS.get(event.kind, ("reclaimed",))
    facts = {name: clipped(attributes[name], LONGEST_NAME) for name in names if name in attributes}
    return {
        "actor": {"id": clipped(event.actor_id, LONGEST_NAME), "name": event.name[:LONGEST_NAME]},
        "attributes": facts,
    }


def _container_event(event: EngineEvent, view: ContainerView | None, allowed: AllowedLabels) -> Json:
    attributes = event.attributes
    if view is not None and view.container.id == event.actor_id:
        labels = view.container.labels
        who = container_identity(view.container, allowed)
        if name := attributes.get("name"):
            who["name"] = clipped(name, LONGEST_NAME)
    else:
        labels = {}
        view = None
        others = {name: value for name, value in attributes.items() if name not in PUBLIC_ATTRIBUTES}
        who = identity(event.actor_id, attributes.get("name", ""), attributes.get("image", ""), others, allowed)
    data: Json = {"container": who}
    # The engine copies labels over its own attributes: where a label bears the name of one, its value is the label's.
    if (code := attributes.get("exitCode")) and "exitCode" not in labels and _NUMBER.match(code):
        data["exit_code"] = int(code)
    if (signal := attributes.get("signal")) and "signal" not in labels and _SIGNAL.match(signal):
        data["signal"] = signal
    if event.action == "rename" and (old := attributes.get("oldName")) and "oldName" not in labels:
        data["old_name"] = clipped(old.removeprefix("/"), LONGEST_NAME)
    if event.action == "health_status" and event.detail in _VERDICTS:
        data["health"] = event.detail
    if event.action in EXEC_ACTIONS and (exec_id := attributes.get("execID")) and "execID" not in labels:
        data["exec_id"] = clipped(exec_id, LONGEST_NAME)
    if view is not None and view.last_sample:
        data["last_sample"] = known_numbers(view.last_sample.items())
    if view is not None and view.oom_kills is not None:
        data["oom_kills"] = view.oom_kills
    return data

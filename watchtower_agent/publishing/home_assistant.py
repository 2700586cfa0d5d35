"""How Home Assistant shows hosts and containers: MQTT discovery, one retained message for each device. Pure.

No name is ever put into a template: Home Assistant evaluates templates, and names are whatever others chose. They stand
in topics as keys, and in the names of devices as plain text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.message import StateMessage
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.version import VERSION
from watchtower_agent.publishing.encoding import clipped, to_json
from watchtower_agent.publishing.entity_ids import apart, entity_id, level
from watchtower_agent.publishing.topics import Topics, container_key, swarm_task

Json = dict[str, object]

DEFAULT_STATUS: Final = "homeassistant/status"
"""Where Home Assistant says that it has started unless it is told otherwise, whatever its discovery prefix is."""
LONGEST_NAME: Final = 128
"""Characters of a device's name or model at most."""

_EXPIRES_AFTER: Final = 3
"""Intervals without a number, after which it is not known any more."""
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_CONTAINER_EVENTS: Final = (
    *("create", "start", "restart", "stop", "kill", "die", "oom", "pause", "unpause"),
    *("health_status", "rename", "update", "destroy"),
)
_ACTION_EVENTS: Final = ("started", "succeeded", "failed", "interrupted", "abandoned", "ineffective", "notify")
_ENGINE_EVENTS: Final = ("down", "up")
_AGENT_EVENTS: Final = (
    *("started", "stopping", "paused", "resumed", "shared_cause", "shared_cause_over", "event_gap"),
    *("sampling_degraded", "sampling_restored", "container_hangs", "container_answers"),
    *("settings_changed", "settings_rejected"),
)
_POLICY_EVENTS: Final = (
    *("firing", "resolved", "rejected", "approval_asked", "approval_given", "approval_rejected"),
    *("approval_withdrawn", "approval_expired", "breaker_open", "breaker_half_open", "breaker_closed"),
    *("at_max", "limited", "pruned", "prune_failed", "prune_ineffective"),
)

_NOTHING: Final[Mapping[str, str]] = {}
_OF_CONTAINERS: Final = {"exit_code": "data.exit_code", "health": "data.health", "signal": "data.signal"}
_OF_ACTIONS: Final = {"policy": "data.policy", "verb": "data.verb"}
_OF_POLICIES: Final = {
    **_OF_ACTIONS,
    "target": "data.get('target', {}).name",
    "approval": "data.approval",
}

# A topic that is cleared brings an empty payload, of which there is no value_json.
_OF_STATE: Final = "{% if value_json is defined %}{{ EXPRESSION }}{% endif %}"
_RUNNING: Final = _OF_STATE.replace("EXPRESSION", "'ON' if value_json.running else 'OFF'")
_RESTARTS: Final = _OF_STATE.replace("EXPRESSION", "value_json.restarts | default(none)")
# Exit codes 130, 137 and 143 are those of signals by which people and engines end a container.
_PROBLEM: Final = _OF_STATE.replace(
    "EXPRESSION",
    "'ON' if value_json.health == 'unhealthy' or value_json.status in ['restarting', 'dead']"
    " or (value_json.status == 'exited' and (value_json.oom_killed | default(false)"
    " or value_json.exit_code | default(0) not in [0, 130, 137, 143])) else 'OFF'",
)
_ATTRIBUTES: Final = _OF_STATE.replace("{% endif %}", "{% else %}{}{% endif %}").replace(
    "EXPRESSION",
    "{'status': value_json.status, 'health': value_json.health, 'image': value_json.image,"
    " 'exit_code': value_json.exit_code | default(none), 'started_at': value_json.started_at | default(none)}"
    " | to_json",
)


def shown_name(text: str) -> str:
    """A text for people: nothing in it that moves a cursor or turns a direction, and not too long."""
    return clipped(_NOT_SHOWN.sub("�", text), LONGEST_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAssistantOptions:
    """What the settings say of it.

    Attributes:
        prefix: Its discovery prefix, the first level or levels of the topics of discovery.
        interval: Seconds between batches of metrics.
    """

    prefix: str = "homeassistant"
    interval: float = 10.0

    @property
    def status_topics(self) -> frozenset[str]:
        """Where it may say that it has started."""
        return frozenset({f"{self.prefix}/status", DEFAULT_STATUS})

    @property
    def discovery(self) -> str:
        """The begin of all topics of discovery."""
        return f"{self.prefix}/device/"


class HomeAssistant:
    """Makes the messages by which one Home Assistant finds this host and its containers."""

    def __init__(self, options: HomeAssistantOptions, *, base: str, host: str, topics: Topics) -> None:
        """Fix what does not change while the agent runs.

        Args:
            options: What the settings say of it.
            base: First level or levels of the agent's topics.
            host: This host's name.
            topics: Those of this host, where the numbers are.
        """
        self._options = options
        self._topics = topics
        self._host = host
        self._id = f"{level(base)}_{level(host)}"
        self._expire = max(1, math.ceil(_EXPIRES_AFTER * options.interval))
        self._availability = [{"topic": topics.status}]

    @property
    def host_topic(self) -> str:
        """Where the host is told of."""
        return self._topic(self._id)

    def container_topic(self, name: str) -> str:
        """Where the container of that name is told of."""
        return self._topic(self._container_id(name))

    def is_own(self, topic: str) -> bool:
        """Whether the host or one of its containers is told of there."""
        return topic == self.host_topic or self.is_container(topic)

    def is_container(self, topic: str) -> bool:
        """Whether a container of this host is told of there."""
        return topic.startswith(f"{self._options.discovery}{self._id}_") and topic.endswith("/config")

    def _topic(self, device: str) -> str:
        return f"{self._options.discovery}{device}/config"

    def _container_id(self, name: str) -> str:
        return f"{self._id}_{container_key(name)}"

    # --- devices ----------------------------------------------------------------------------------------------------

    def host(self, engine: EngineInfo | None) -> StateMessage:
        """The host with its agent and engine."""
        device: Json = {"identifiers": [self._id], "name": shown_name(self._host), "manufacturer": "watchtower-agent"}
        if engine is not None and engine.version:
            device["model"] = "Docker host"
            device["hw_version"] = shown_name(f"engine {engine.version}")
        events, topics = self._topics.event, self._topics
        parts: dict[str, Json] = {
            "agent": {
                **_binary("Agent", "connectivity", topics.status),
                "payload_on": "online",
                "payload_off": "offline",
                "entity_category": "diagnostic",
            },
            "cpu": self._number("CPU", topics.metrics, "host_metrics", "host.cpu.percent"),
            "memory": self._number("Memory", topics.metrics, "host_metrics", "host.memory.percent"),
            "disk": self._number("Disk", topics.metrics, "host_metrics", "host.disk.percent"),
            "containers": {
                **self._number("Containers running", topics.metrics, "engine", "engine.containers.running", unit=""),
                "suggested_display_precision": 0,
            },
            "engine_event": _event("Engine events", events("engine", "+", "self"), _ENGINE_EVENTS),
            "agent_event": _event(
                "Agent events", events("agent", "+", "+"), _AGENT_EVENTS, {"container": "data.container"}
            ),
            "policy_event": _event("Policy events", events("policy", "+", "+"), _POLICY_EVENTS, _OF_POLICIES),
        }
        for name, part in parts.items():
            if name != "agent":  # which tells that the agent is away, rather than being away itself
                part["availability"] = self._availability
        return self._message(self._id, device, parts)

    def container(self, container: Container, beside: Iterable[str] = ()) -> StateMessage:
        """A container: below its host, beside others of these names."""
        task = swarm_task(container.name)
        name = f"{task.service}.{task.slot}" if task else container.name or container.id[:12]
        key = container_key(container.name)
        state, metrics = self._topics.container_state(container.name), self._topics.container_metrics(container.name)
        device: Json = {
            "identifiers": [self._container_id(container.name)],
            "name": shown_name(f"{self._host} {name}"),
            "model": shown_name(container.image) or "container",
            "via_device": self._id,
        }
        parts: dict[str, Json] = {
            "running": {
                **_binary("Running", "running", state),
                "value_template": _RUNNING,
                "json_attributes_topic": state,
                "json_attributes_template": _ATTRIBUTES,
            },
            "problem": {**_binary("Problem", "problem", state), "value_template": _PROBLEM},
            "cpu": self._number("CPU", metrics, "", "cpu.percent"),
            "memory": {
                **self._number("Memory", metrics, "", "memory.working_set", unit="B"),
                "device_class": "data_size",
                "suggested_display_precision": 0,
            },
            "restarts": {
                "platform": "sensor",
                "name": "Restarts",
                "state_topic": state,
                "value_template": _RESTARTS,
                "state_class": "total_increasing",
                "entity_category": "diagnostic",
            },
            "event": _event("Events", self._topics.event("container", "+", key), _CONTAINER_EVENTS, _OF_CONTAINERS),
            "action": _event(
                "Actions", self._topics.event("action", "+", key), _ACTION_EVENTS, _OF_ACTIONS, subject="container"
            ),
        }
        called = f"{self._id}_{apart(container.name, beside)}"
        device_id = self._container_id(container.name)
        return self._message(device_id, device, parts, called=called, availability=self._availability)

    def _message(
        self, device_id: str, device: Json, parts: dict[str, Json], *, called: str = "", **shared: object
    ) -> StateMessage:
        for name, part in parts.items():
            # No id of a device has a dot: unique ids of two devices never meet.
            part["unique_id"] = f"{device_id}.{name}"
            part["default_entity_id"] = entity_id(str(part["platform"]), called or device_id, name)
        content: Json = {"dev": device, "o": {"name": "watchtower-agent", "sw_version": VERSION}, **shared}
        return StateMessage(topic=self._topic(device_id), payload=to_json({**content, "cmps": parts}))

    def _number(self, name: str, topic: str, within: str, metric: str, unit: str = "%") -> Json:
        """A measured number. What is not in a message is not known."""
        whole = f"(value_json.{within} | default({{}}))" if within else "value_json"
        said: Json = {
            "platform": "sensor",
            "name": name,
            "state_topic": topic,
            "value_template": f"{{{{ {whole}['{metric}'] | default(none) }}}}",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "expire_after": self._expire,
        }
        if unit:
            said["unit_of_measurement"] = unit
        return said


def _binary(name: str, device_class: str, topic: str) -> Json:
    return {"platform": "binary_sensor", "name": name, "device_class": device_class, "state_topic": topic}


def _event(name: str, topic: str, types: Sequence[str], data: Mapping[str, str] = _NOTHING, subject: str = "") -> Json:
    """What happens, as Home Assistant's events.

    Args:
        name: Of the entity.
        topic: Filter of the CloudEvents.
        types: The words that it takes. Events of another kind are left out: it would complain about each.
        data: Attribute of the entity's event -> where it is in the CloudEvent.
        subject: The kind that the event has to be about; empty: any.
    """
    return {
        "platform": "event",
        "name": name,
        "state_topic": topic,
        "event_types": list(types),
        "value_template": _event_template(types, data, subject),
    }


def _event_template(types: Sequence[str], data: Mapping[str, str], subject: str) -> str:
    """JSON with `event_type`, or nothing. Only words of this module are in it."""
    about = f" and value_json.subject.startswith('{subject}/')" if subject else ""
    more = "".join(f", '{name}': value_json.{where} | default(none)" for name, where in data.items())
    return (
        "{% if value_json is defined and value_json.type is defined %}{% set kind = value_json.type.split('.')[3] %}"
        f"{{% if kind in {list(types)}{about} %}}"
        "{{ {'event_type': kind, 'severity': value_json.severity, 'origin': value_json.origin,"
        " 'id': value_json.id, 'correlation': value_json.correlationid | default(none),"
        f" 'reason': value_json.data.reason | default(none){more}}} | to_json }}}}"
        "{% endif %}{% endif %}"
    )

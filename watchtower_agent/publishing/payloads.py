"""What is said of containers, samples and the agent, as JSON objects. Labels leave by allow-list only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Number
from watchtower_agent.model.fact import AgentInfo, ContainerView
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.service import Judgement
from watchtower_agent.publishing.encoding import clipped, rfc3339, rounded
from watchtower_agent.publishing.topics import swarm_task

Json = dict[str, object]

LONGEST_LABEL: Final = 1024
"""Characters of a label's value at most; longer values are cut."""
_LABELS_BUDGET: Final = 16 * 1024
LONGEST_NAME: Final = 256
"""Characters of a name, an id or an image's reference at most."""
_MOST_NUMBERS: Final = 100
_KEYED = re.compile(r'(labels|event\.attributes)\["(.*)"\]\Z', re.DOTALL)

COMPOSE_PROJECT: Final = "com.docker.compose.project"
COMPOSE_SERVICE: Final = "com.docker.compose.service"
SWARM_SERVICE: Final = "com.docker.swarm.service.name"


class AllowedLabels:
    """The container labels that may leave the agent, by globs."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._allowed = re.compile("|".join(translate(glob) for glob in globs)) if globs else None

    def allows(self, name: str) -> bool:
        """Whether a label of that name may leave the agent."""
        return self._allowed is not None and self._allowed.match(name) is not None

    def of(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Those of the labels that may leave, long values cut, the whole bounded."""
        if self._allowed is None or not labels:
            return {}
        match = self._allowed.match
        kept: dict[str, str] = {}
        budget = _LABELS_BUDGET
        for name, value in labels.items():
            if not match(name) or len(name) > LONGEST_NAME:
                continue
            shown = clipped(value, LONGEST_LABEL)
            budget -= len(name) + len(shown)
            if budget < 0:
                break
            kept[name] = shown
        return kept

    def numbers(self, numbers: Mapping[str, Number], *, public: frozenset[str] = frozenset()) -> Json:
        """The values behind a reason, less those of labels that may not leave. NaN becomes null: unknown.

        Args:
            numbers: By catalogue name; `labels["k"]` and `event.attributes["k"]` are values of labels.
            public: Attributes of events that are no labels.
        """
        kept: Json = {}
        for name, value in list(numbers.items())[:_MOST_NUMBERS]:
            keyed = _KEYED.match(name)
            if keyed and not self.allows(keyed[2]) and not (keyed[1] != "labels" and keyed[2] in public):
                continue
            if isinstance(value, str):
                kept[clipped(name, LONGEST_NAME)] = clipped(value, LONGEST_LABEL)
            else:
                kept[clipped(name, LONGEST_NAME)] = None if isinstance(value, float) and math.isnan(value) else value
        return kept


def identity(container_id: str, name: str, image: str, labels: Mapping[str, str], allowed: AllowedLabels) -> Json:
    """Who a container is: what every event about it carries."""
    said: Json = {
        "id": clipped(container_id, LONGEST_NAME),
        "name": clipped(name, LONGEST_NAME),
        "image": clipped(image, LONGEST_NAME),
        "labels": allowed.of(labels),
    }
    if project := labels.get(COMPOSE_PROJECT):
        said["compose"] = {
            "project": clipped(project, LONGEST_NAME),
            "service": clipped(labels.get(COMPOSE_SERVICE, ""), LONGEST_NAME),
        }
    if service := labels.get(SWARM_SERVICE):
        said["service"] = clipped(service, LONGEST_NAME)
        task = swarm_task(name)
        if task and task.slot.isdecimal():
            said["task_slot"] = int(task.slot)
    return said


def container_identity(container: Container, allowed: AllowedLabels) -> Json:
    """Who a container is, as the engine described it."""
    return identity(container.id, container.name, container.image, container.labels, allowed)


def container_state(view: ContainerView, *, host: str, allowed: AllowedLabels) -> Json:
    """The content of a container's retained topic. Absent is unknown. Samples are not in it: they would be stale."""
    container = view.container
    said: Json = {"schema": 1, "host": host, **container_identity(container, allowed)}
    if container.status is not None:
        said["status"] = container.status.value
    said["running"] = container.running
    said["health"] = container.health.value
    said["created_at"] = rfc3339(container.created_at)
    said["restarts"] = view.restarts
    said["restarts_by_agent"] = view.restarts_by_agent
    if container.image_id:
        said["image_id"] = container.image_id
    detail = container.detail
    if detail is not None:
        known = {
            "started_at": _moment(detail.started_at),
            "finished_at": _moment(detail.finished_at),
            "exit_code": detail.exit_code,
            "oom_killed": detail.oom_killed,
            "failing_streak": detail.failing_streak,
            "restart_policy": detail.restart_policy,
        }
        said.update({name: value for name, value in known.items() if value is not None})
    if view.operator_action:
        operator: Json = {"action": view.operator_action}
        if view.operator_action_at is not None:
            operator["at"] = rfc3339(view.operator_action_at)
        if view.hands_off_until is not None:
            operator["hands_off_until"] = rfc3339(view.hands_off_until)
        said["operator"] = operator
    return said


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def agent_info(info: AgentInfo, *, host: str, version: str, install_id: str, engine: EngineInfo | None) -> Json:
    """The content of the retained `info` topic."""
    said: Json = {
        "schema": 1,
        "host": host,
        "agent": {"version": version, "install_id": install_id, "mode": info.mode},
        "settings_digest": info.settings_digest,
        "policies_digest": info.policies_digest,
        "policies": dict(info.policies),
        "last_sequence": info.last_sequence,
    }
    if engine is not None:
        said["engine"] = {
            "id": engine.id,
            "name": engine.name,
            "version": engine.version,
            "api_version": engine.api_version,
            "swarm_node_id": engine.swarm_node_id,
            "swarm_leader": engine.swarm_leader,
        }
    return said


def container_head(container: Container) -> Json:
    """What a container's line in a batch of metrics begins with: who it is, and how its health check judges it."""
    said: Json = {"name": clipped(container.name, LONGEST_NAME), "id": clipped(container.id, LONGEST_NAME)}
    labels = container.labels
    if project := labels.get(COMPOSE_PROJECT):
        said["compose_project"] = clipped(project, LONGEST_NAME)
        said["compose_service"] = clipped(labels.get(COMPOSE_SERVICE, ""), LONGEST_NAME)
    if service := labels.get(SWARM_SERVICE):
        said["service"] = clipped(service, LONGEST_NAME)
        task = swarm_task(container.name)
        if task and task.slot.isdecimal():
            said["task_slot"] = int(task.slot)
    said["health"] = container.health.value
    return said


def judgement(judged: Judgement) -> dict[str, object]:
    """One of the `services` of a batch of metrics."""
    return {
        "id": judged.service_id[:LONGEST_NAME],
        "version": judged.version,
        "left_alone_for": rounded(judged.left_alone_for),
    }


def known_numbers(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Those of the values that are finite, to four decimals."""
    return {name: rounded(value) for name, value in values if math.isfinite(value)}

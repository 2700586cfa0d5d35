"""Labels by which the agent is told what to leave alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PROTECT_LABEL: Final = "watchtower-agent.protect"
ORCHESTRATOR_LABELS: Final = ("io.kubernetes.", "com.docker.swarm.task")
"""Prefixes of labels that an orchestrator puts on what it owns."""
COMPOSE_PROJECT: Final = "com.docker.compose.project"
"""Compose puts it on what it makes: containers, networks, volumes, and images that it builds."""
COMPOSE_ONE_OFF: Final = "com.docker.compose.oneoff"
"""`True` on a container of `docker compose run`."""


def is_marked(labels: Mapping[str, str]) -> bool:
    """Whether somebody has put the label on it that protects."""
    return PROTECT_LABEL in labels and labels[PROTECT_LABEL].lower() in {"true", "1", "yes"}


def is_orchestrated(labels: Mapping[str, str]) -> bool:
    """Whether an orchestrator owns it."""
    return any(label.startswith(ORCHESTRATOR_LABELS) for label in labels)

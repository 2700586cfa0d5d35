"""The agent's own events that are neither a decision nor an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that the agent has to say about itself, the engine or its policies.

    Known ones: engine/down, engine/up, agent/event_gap, agent/started, agent/stopping, agent/sampling_degraded,
    agent/sampling_restored, policy/loaded, policy/rejected, policy/scheduled, policy/missed, policy/triggered,
    policy/breaker_open, policy/breaker_half_open, policy/breaker_closed, policy/paused, policy/resumed, policy/limited,
    policy/regretted, policy/at_max, agent/paused, agent/resumed, agent/shared_cause, agent/shared_cause_over,
    agent/container_hangs, agent/container_answers, agent/settings_changed, agent/settings_rejected.

    Attributes:
        kind: `engine`, `agent` or `policy`.
        action: One word, as in a topic.
        subject: A name for the topic's last level; empty for `self`.
        severity: How loudly.
        reason: One sentence for people.
        data: JSON-able facts.
        at: Seconds since the epoch.
        correlation_id: Shared with what caused it; empty when nothing did.
    """

    kind: EventKind
    action: str
    subject: str = ""
    severity: Severity = Severity.INFO
    reason: str
    data: Mapping[str, object] = field(default_factory=dict)
    at: float
    correlation_id: str = ""

"""The pipeline's options: what it takes from the settings. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.state.averages import USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """What the agent's settings say to the pipeline.

    Attributes:
        host: The host's name in topics and payloads.
        mode: The agent's mode.
        interval: Seconds between samples.
        ping_interval: Seconds between signs of life that the engine is asked for.
        metrics_interval: Seconds between metrics batches.
        keep: Seconds of the past that are kept for people who look back; 0 for none.
        protection: What no policy may touch.
        shared_cause: When many failures are taken for one.
        settings_digest: Hash over the settings, for the `info` topic.
    """

    host: str
    mode: str
    interval: float
    ping_interval: float = 5.0
    metrics_interval: float
    keep: float = USUAL
    protection: Protection
    shared_cause: SharedCauseRule = field(default_factory=SharedCauseRule)
    settings_digest: str = ""

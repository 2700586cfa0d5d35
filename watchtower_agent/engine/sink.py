"""What this room tells the loop."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.observation import EngineObservation

Sink = Callable[[EngineObservation], None]
"""Takes an observation, on the event loop; never blocks."""

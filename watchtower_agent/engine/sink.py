"""What this room tells the loop."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineDescribed,
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    ImagesCounted,
    InventoryObserved,
)

Sink = Callable[
    [
        EventsObserved
        | InventoryObserved
        | ContainerObserved
        | EngineFound
        | EngineDescribed
        | EngineLost
        | EnginePinged
        | ImagesCounted
        | GapObserved
    ],
    None,
]
"""Takes an observation, on the event loop; never blocks."""

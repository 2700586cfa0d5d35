"""The engine's own service, as its restart needs it."""

from __future__ import annotations

from typing import Protocol

from watchtower_agent.model.unit import Sign, UnitState


class EngineUnit(Protocol):
    """What runs the engine as a service. Calls raise PermanentError or TemporaryError, each within a bounded time."""

    async def look(self) -> UnitState:
        """How it is at this moment."""
        ...

    async def restart(self) -> None:
        """Have it restarted; does not wait for that."""
        ...

    async def sign(self) -> Sign:
        """What comes of asking the engine itself at this moment."""
        ...

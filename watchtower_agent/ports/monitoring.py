"""What is asked of the agent by whoever monitors it, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watchtower_agent.model.exposition import Exposition


class Monitored(Protocol):
    """What a running agent tells of itself and of its host."""

    def ailing(self) -> Sequence[str]:
        """What a new start of the agent may mend, a sentence each; none while its work goes on."""
        ...

    def not_ready(self) -> Sequence[str]:
        """What keeps the agent from watching and acting, a sentence each; none when nothing does."""
        ...

    async def exposition(self) -> Exposition:
        """All metrics, of the newest samples: nothing is read for it."""
        ...

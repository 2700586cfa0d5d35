"""What the loop asks of the sampler and of the engine's session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from watchtower_agent.model.sample import SampleTarget


class Sampling(Protocol):
    """The sampler's thread, as the loop sees it."""

    def watch(self, targets: tuple[SampleTarget, ...]) -> None:
        """From the next tick on, sample these and no others."""
        ...


class Inspections(Protocol):
    """Asks the engine about containers, in the background; answers come through the inbox."""

    def request(self, container_ids: Sequence[str], *, urgent: Collection[str] = ()) -> None:
        """Inspect these soon, the urgent ones first. Asking twice for one that waits already is one inspection."""
        ...

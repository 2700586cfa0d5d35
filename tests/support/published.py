"""One container's numbers as an agent publishes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise

from tests.support.agent import AgentWatch
from tests.support.schema import strict_json


class Published:
    """One container's numbers in the agent's batches of metrics, as they come."""

    def __init__(self, watch: AgentWatch, container_id: str) -> None:
        self._watch = watch
        self._id = container_id

    def samples(self) -> list[tuple[float, Mapping[str, float]]]:
        """When they were read, seconds since the epoch, and the numbers."""
        batches = [strict_json(m.payload) for m in self._watch.messages if m.topic.endswith("/metrics")]
        return [
            (datetime.fromisoformat(batch["time"]).timestamp(), each)
            for batch in batches
            for each in batch["containers"]
            if each["id"] == self._id
        ]

    async def until(
        self,
        wanted: Callable[[float, Mapping[str, float]], bool],
        timeout: float = 60.0,  # noqa: ASYNC109 - as PersistentSubscriber.until
    ) -> tuple[float, Mapping[str, float]]:
        """Wait for a sample that is as wanted."""
        await self._watch.until(lambda _: any(wanted(*sample) for sample in self.samples()[-1:]), timeout=timeout)
        return self.samples()[-1]

    def average(self, name: str, begin: float, end: float) -> float:
        """The mean of a rate over that time: each sample speaks of the time since the one before."""
        samples = self.samples()
        assert samples[0][0] <= begin
        assert end <= samples[-1][0]
        parts = [
            (min(at, end) - max(before, begin), values)
            for (before, _), (at, values) in pairwise(samples)
            if before < end and at > begin
        ]
        return sum(seconds * values[name] for seconds, values in parts) / (end - begin)
